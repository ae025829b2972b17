"""Publish one message on a channel that carries nothing else, and wait for what becomes of it."""

import asyncio

from aiormq.abc import AbstractConnection as WireConnection
from aiormq.abc import ConfirmationFrameType
from pamqp import commands

from relay.broker.confirm_channel import ConfirmChannel
from relay.broker.connection import CONNECTION_ERRORS
from relay.broker.outcome import PublishOutcome, T
from relay.errors import BrokerError


async def publish(
    connection: WireConnection, number: int, message: tuple[str, T], timeout_s: float
) -> PublishOutcome[T]:
    """Publish a message alone.

    Args:
        connection: an open one.
        number: of a channel that is free.
        message: the exchange, and what to publish there.
        timeout_s: how long the broker may take.

    Raises:
        BrokerError: the connection was lost, or the broker does not answer.
    """
    exchange, item = message
    answered = asyncio.Event()
    answers: list[ConfirmationFrameType] = []
    returned: list[str] = []

    def note(frame: ConfirmationFrameType) -> None:
        answers.append(frame)
        answered.set()

    channel = ConfirmChannel(connection, number, on_confirm=note, on_return=returned.append)
    try:
        async with asyncio.timeout(timeout_s):
            await channel.begin()
            await channel.write([(exchange, item.message)])
            await channel.wait_for(answered)
            if not channel.is_closed:
                await channel.close()
    except TimeoutError as error:
        raise BrokerError(f"A message alone was not confirmed within {timeout_s} s.") from error
    except CONNECTION_ERRORS as error:
        raise BrokerError(f"The connection was lost: {error}.") from error
    if channel.refusal:
        return PublishOutcome([], [item], channel.refusal)
    if not answers:
        raise BrokerError("The connection was lost.")
    is_taken = isinstance(answers[0], commands.Basic.Ack) and not returned
    return PublishOutcome([item], []) if is_taken else PublishOutcome([], [item])
