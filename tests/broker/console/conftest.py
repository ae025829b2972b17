"""The console beside a relay, and Chromium."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser as Chromium

from deploy.local.chromium import PROGRAM, opened_chromium
from relay.events import topology
from tests.support.relay_process import RelayProcess
from tests.support.servers.console import Browser, console_beside


@contextlib.asynccontextmanager
async def _chromium() -> AsyncIterator[Chromium]:
    if PROGRAM is None:
        pytest.skip("chromium is not installed")
    async with opened_chromium() as browser:
        yield browser


@pytest.fixture
async def chromium() -> AsyncIterator[Chromium]:
    async with _chromium() as browser:
        yield browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_chromium() -> AsyncIterator[Chromium]:
    """One browser for tests that run in the loop of their module; each page has its own context.

    Starting one takes a second of CPU, as much as a test.
    """
    async with _chromium() as browser:
        yield browser


@pytest.fixture
async def relay(
    tmp_path: Path,
    broker_url: str,
    exchange: str,
    declared: topology.Topology,  # noqa: ARG001  takes the queues down
) -> AsyncIterator[RelayProcess]:
    async with RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange) as relay:
        yield relay


@pytest.fixture
async def console(relay: RelayProcess) -> AsyncIterator[Browser]:
    async with console_beside(relay) as browser:
        yield browser
