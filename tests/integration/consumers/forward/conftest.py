"""An endpoint, and what receives its requests."""

from collections.abc import AsyncIterator

import pytest

from tests.support.forwarding import (
    Endpoint,
    Receiver,
    forwarding,
    receiving,
)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def endpoint(receiver: Receiver) -> AsyncIterator[Endpoint]:
    async with forwarding(receiver.url) as endpoint:
        yield endpoint
