"""A channel in confirm mode that passes confirms, returns and the broker's refusal on."""

import asyncio
from collections.abc import Callable, Iterable

import aiormq
import aiormq.exceptions
from aiormq.abc import AbstractConnection as WireConnection
from aiormq.abc import ChannelFrame, ConfirmationFrameType
from pamqp import commands
from pamqp.header import ContentHeader

from relay.broker.connection import CONNECTION_ERRORS, answering
from relay.broker.refusal import Refusal, refusal_in
from relay.errors import BrokerError
from relay.events import amqp
from relay.events.message import Message
from relay.process import libraries

_FRAME_BUFFER = 1000  # confirms that may wait to be read
_PUBLISH = (commands.Basic.frame_id, commands.Basic.Publish.frame_id)  # class and method

libraries.require_names(
    aiormq.Channel,
    *("_get_frame", "_on_close_frame", "_on_confirm_frame", "_on_return_frame", "_read_content"),
)
libraries.require_names(WireConnection, "channels", "connection_tune", "ready", "write_queue")


class ConfirmChannel(aiormq.Channel):
    """A channel that passes confirms and returns on as they arrive.

    aiormq keeps a future per message and walks all of them for each `multiple` ack: with
    thousands in flight that is the largest cost of all. It also matches returns by message id
    alone, which hides one of two equal messages in flight.

    Args:
        connection: an open one.
        number: of the channel; free.
        on_confirm: called with each ack or nack.
        on_return: called with the id of each message that had no route, before its ack.
    """

    def __init__(
        self,
        connection: WireConnection,
        number: int,
        *,
        on_confirm: Callable[[ConfirmationFrameType], None],
        on_return: Callable[[str], None],
    ) -> None:
        super().__init__(connection, number, frame_buffer=_FRAME_BUFFER)
        self._on_confirm = on_confirm
        self._on_return = on_return
        self.refusal: Refusal | None = None
        """Why the broker closed the channel, if that was over a published message."""

    async def begin(self) -> None:
        """Open the channel and put it into confirm mode.

        Raises:
            BrokerError: the connection was lost, or the broker does not answer.
        """
        self.connection.channels[self.number] = self
        try:
            async with answering("open a channel"):
                await self.open()
        except CONNECTION_ERRORS as error:
            raise BrokerError(f"The channel can't be opened: {error}.") from error

    async def write(self, messages: Iterable[tuple[str, Message]]) -> None:
        """Publish each (exchange, message), all at once."""
        frame_max = self.connection.connection_tune.frame_max
        payload = amqp.publish_frames(messages, channel=self.number, frame_max=frame_max)
        await self.connection.write_queue.put(ChannelFrame(payload=payload, should_close=False))

    async def wait_for(self, event: asyncio.Event) -> None:
        """Wait until event is set, or the channel is closed."""
        waiting = asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait({waiting, self.closing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    async def _on_confirm_frame(self, frame: ConfirmationFrameType) -> None:
        self._on_confirm(frame)

    async def _on_return_frame(self, frame: commands.Basic.Return) -> None:
        header = await self._get_frame()
        if not isinstance(header, ContentHeader):  # pragma: no cover  no broker does this
            raise aiormq.exceptions.InvalidFrameError(header)
        message = await self._read_content(frame, header)
        self._on_return(message.header.properties.message_id or "")

    async def _on_close_frame(self, frame: commands.Channel.Close) -> None:
        if (frame.class_id, frame.method_id) == _PUBLISH:
            self.refusal = refusal_in(frame.reply_code or 0, frame.reply_text or "")
        await super()._on_close_frame(frame)
