"""The archive service as a child, for `make demo`."""

import asyncio
import contextlib
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.run import Environment, relay
from relay.errors import RelayError

ARCHIVE_PORT = "RELAY_CONSUMERS__ARCHIVE__ADMIN__PORT"
_LIMIT_S = 30.0
_POLL_INTERVAL_S = 0.05

HasTaken = Callable[[int], Awaitable[None]]
"""Waits until so many events have arrived, including those that were archived already."""


@contextlib.asynccontextmanager
async def archive(environment: Environment) -> AsyncIterator[HasTaken]:
    """Run the archive, and yield once it consumes.

    Raises:
        RelayError: it ended, or was too slow.
    """
    url = f"http://127.0.0.1:{environment[ARCHIVE_PORT]}"
    async with (
        aiohttp.ClientSession() as http,
        relay(module="consumers.archive", environment=environment) as process,
    ):

        async def is_ready() -> bool:
            async with http.get(f"{url}/readyz") as response:
                return response.status == HTTPStatus.OK

        async def taken() -> float:
            async with http.get(f"{url}/metrics") as response:
                families = text_string_to_metric_families(await response.text())
            return sum(
                sample.value
                for family in families
                if family.name == "relay_archive_events"
                for sample in family.samples
            )

        async def has_taken(count: int) -> None:
            async def has_all() -> bool:
                return await taken() >= count

            await _until(has_all, process, f"has not archived {count} events")

        await _until(is_ready, process, "is not ready")
        yield has_taken


async def _until(condition: Callable[[], Awaitable[bool]], process: Process, what: str) -> None:
    try:
        async with asyncio.timeout(_LIMIT_S):
            while not await _holds(condition):
                if process.returncode is not None:
                    raise RelayError(f"The archive ended with {process.returncode}.")
                await asyncio.sleep(_POLL_INTERVAL_S)
    except TimeoutError as error:
        raise RelayError(f"The archive {what} within {_LIMIT_S:g} s.") from error


async def _holds(condition: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await condition()
    except aiohttp.ClientError:
        return False
