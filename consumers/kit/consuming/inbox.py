"""The consuming side of a connection: deliveries in, acknowledgements out.

`queue.consume` of aio-pika starts a task per message and writes a frame per acknowledgement, each
with a future to wait for. Here a delivery is a plain call, and all acknowledgements of one
event-loop iteration are one write.

A message that kills its process takes all that is in hand along, and RabbitMQ counts a delivery of
each of them. So an inbox begins cautiously: it has one message in hand until one comes that nobody
had before, since RabbitMQ delivers the others first. Only the culprit then reaches the limit.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import aiormq
import aiormq.exceptions
from aiormq.abc import AbstractConnection as WireConnection
from aiormq.abc import ChannelFrame, DeliveredMessage
from pamqp import commands
from pamqp.header import ContentHeader

from consumers.kit.consuming.acknowledgements import Acknowledgements
from consumers.kit.consuming.delivery import Received
from relay.broker import reconnect
from relay.broker.connection import CONNECTION_ERRORS, answering, reason_of
from relay.errors import BrokerError
from relay.process import libraries

_CHANNEL_NUMBER = 1
_CAUTIOUS_PREFETCH = 1
_STOP_LIMIT_S = 2.0

libraries.require_names(
    aiormq.Channel, "_get_frame", "_on_cancel_frame", "_on_deliver_frame", "_read_content"
)
libraries.require_names(WireConnection, "channels", "write_queue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """How messages come in.

    Args:
        prefetch: messages in hand at the same time, once the caution is over.
        is_single_active: whether the queue delivers to one instance at a time.
    """

    prefetch: int
    is_single_active: bool = False


class Inbox(aiormq.Channel):
    """A channel that consumes one queue.

    Args:
        connection: an open one.
        receive: called with each message.
    """

    def __init__(self, connection: WireConnection, receive: Callable[[Received], None]) -> None:
        super().__init__(connection, _CHANNEL_NUMBER, publisher_confirms=False)
        self._receive = receive
        self._acknowledgements = Acknowledgements(_CHANNEL_NUMBER)
        self._has_work = asyncio.Event()
        self._cancelled: asyncio.Future[None] = connection.loop.create_future()
        self._consumer_tag = ""
        self._queue, self._intake = "", Intake(prefetch=_CAUTIOUS_PREFETCH)
        self._is_cautious = False
        self._first_new_tag: int | None = None
        self._is_stopping = False

    @property
    def in_hand(self) -> int:
        """How many messages are delivered and not acknowledged."""
        return self._acknowledgements.in_hand

    @property
    def is_open(self) -> bool:
        """Whether messages may come."""
        return not (self.is_closed or self.connection.is_closed or self._cancelled.done())

    async def consume(self, queue: str, intake: Intake) -> None:
        """Open the channel and begin, cautiously.

        Raises:
            BrokerError: there is no such queue, no right to read it, the connection was lost, or
                the broker does not answer.
        """
        self._queue, self._intake = queue, intake
        self._is_cautious = intake.prefetch > _CAUTIOUS_PREFETCH
        self.connection.channels[_CHANNEL_NUMBER] = self
        try:
            async with answering("open a channel"):
                await self.open()
            await self._begin(_CAUTIOUS_PREFETCH)
        except (aiormq.exceptions.AMQPError, *CONNECTION_ERRORS) as error:
            raise self._not_consumed(error) from error

    def ack(self, delivery_tag: int) -> None:
        """Acknowledge a delivery soon. If the channel closes before, it is delivered again."""
        self._acknowledgements.ack(delivery_tag)
        self._has_work.set()

    async def write(self) -> None:
        """Write the acknowledgements, forever, and end the caution when it is time."""
        while True:
            await self._has_work.wait()
            if self._is_cautious and self._is_caution_over:
                self._is_cautious = False
                await self._end_caution()
            await self.flush()

    async def flush(self) -> None:
        """Write the acknowledgements there are."""
        self._has_work.clear()
        if frames := self._acknowledgements.take_frames():
            frame = ChannelFrame(payload=frames, should_close=False)
            await self.connection.write_queue.put(frame)

    async def stop(self) -> None:
        """Ask for no more messages. Some may be on their way.

        Raises:
            BrokerError: the connection was lost; then none will come, either.
        """
        self._is_stopping = True
        try:
            await self.basic_cancel(self._consumer_tag, nowait=True, timeout=_STOP_LIMIT_S)
        except asyncio.CancelledError as error:  # aiormq's own, when the connection ends meanwhile
            reconnect.raise_if_cancelled()
            raise BrokerError("The connection was lost.") from error
        except (aiormq.exceptions.AMQPError, *CONNECTION_ERRORS) as error:
            raise BrokerError(f"The consumer can't be cancelled: {error}.") from error

    @property
    def _is_caution_over(self) -> bool:
        """Whether a new message came, or is even done.

        While the consumer is replaced, another instance may become the single active one. What it
        gets then may not overtake what is in hand here.
        """
        tag = self._first_new_tag
        if tag is None or self._is_stopping:
            return False
        return not self._intake.is_single_active or self._acknowledgements.is_done(tag)

    async def _end_caution(self) -> None:
        """Consume anew, with the whole prefetch: that of a consumer can't be changed."""
        try:
            await self.basic_cancel(self._consumer_tag, nowait=True, timeout=_STOP_LIMIT_S)
            await self.flush()
            await self._begin(self._intake.prefetch)
        except (aiormq.exceptions.AMQPError, *CONNECTION_ERRORS) as error:
            raise self._not_consumed(error) from error

    async def _begin(self, prefetch: int) -> None:
        async with answering("limit the prefetch"):
            await self.basic_qos(prefetch_count=prefetch)
        if self._is_stopping:
            return
        self._consumer_tag = f"relay-{prefetch}"
        async with answering(f"consume {self._queue}"):
            await self.basic_consume(self._queue, self._unused, consumer_tag=self._consumer_tag)

    def _not_consumed(self, error: Exception) -> BrokerError:
        return BrokerError(f"The queue {self._queue} can't be consumed: {error}.")

    async def until_closed(self, tasks: Iterable[asyncio.Task[None]]) -> BrokerError:
        """Wait until the channel or its connection is closed, and return why.

        Args:
            tasks: they run beside; the error of one that fails is raised.
        """
        closing = {self.closing, self.connection.closing, self._cancelled}
        running = {*tasks}
        while True:
            done, _ = await asyncio.wait({*closing, *running}, return_when=asyncio.FIRST_COMPLETED)
            for task in done & running:
                if task.cancelled():  # by aiormq, when the connection falls silent in its call
                    return BrokerError("The connection was lost: it fell silent.")
                task.result()
            running -= done
            if self._cancelled in done:
                return BrokerError("The queue is gone.")
            if reasons := done & closing:
                return BrokerError(f"The connection was lost: {reason_of(reasons)}.")

    async def _on_deliver_frame(self, frame: commands.Basic.Deliver) -> None:
        header = await self._get_frame()
        if not isinstance(header, ContentHeader):  # pragma: no cover  no broker does
            raise aiormq.exceptions.InvalidFrameError(header)
        message = await self._read_content(frame, header)
        tag = frame.delivery_tag or 0
        self._acknowledgements.add(tag)
        key, properties = frame.routing_key or "", header.properties
        is_suspect = frame.redelivered or False
        if self._is_cautious and not is_suspect and self._first_new_tag is None:
            self._first_new_tag = tag
            self._has_work.set()
        self._receive(Received(tag, key, properties, message.body, is_suspect))

    async def _on_cancel_frame(
        self, frame: commands.Basic.CancelOk | commands.Basic.Cancel
    ) -> None:
        """Note that the broker ends the consumer: its queue was deleted, or moved."""
        await super()._on_cancel_frame(frame)
        if isinstance(frame, commands.Basic.Cancel) and not self._cancelled.done():
            self._cancelled.set_result(None)

    @staticmethod
    async def _unused(message: DeliveredMessage) -> None:  # pragma: no cover
        """Satisfy `basic_consume`; deliveries take the way of _on_deliver_frame."""
