"""A queue of messages that wait for a person: the quarantine, or a service's dead letters.

Reading such a queue does not use up its messages. All are fetched over one channel without an ack,
and RabbitMQ requeues them when the channel closes, though in any order: to a quorum queue, each
`basic.get` is a consumer of its own.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import click
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from relay.broker.connection import declare
from relay.cli.output import printable, show_row, show_table
from relay.errors import BrokerError, RelayError
from relay.events.topology import Queue, Topology

ids_argument = click.argument("ids", metavar="[ID]...", nargs=-1)
all_option = click.option("--all", "is_all", is_flag=True, help="All there are.")
reason_option = click.option(
    "--reason", metavar="TEXT", default="", help="With --all: only those whose reason contains it."
)
yes_option = click.option("--yes", is_flag=True, help="Don't ask.")
limit_option = click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="List no more than so many.",
)


class ParkedMessage(Protocol):
    """What a parked message says about itself: a quarantined delivery or a dead letter."""

    @property
    def id(self) -> str:
        """The id by which a person chooses it."""

    @property
    def reason(self) -> str:
        """Why it was parked."""


T = TypeVar("T", bound=ParkedMessage)
Found = AsyncIterator[tuple[T, AbstractIncomingMessage]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedQueue(Generic[T]):
    """A queue whose messages are read without using them up, until a person handles them.

    Args:
        name: of the queue.
        read: returns what a message says about itself.
        noun: for several of its messages, such as "deliveries".
        place: where they are, such as "in quarantine".
        reason: only messages whose reason contains it count; the others stay as they are.
    """

    name: str
    read: Callable[[AbstractIncomingMessage], T]
    noun: str
    place: str
    reason: str = ""

    async def messages(
        self, connection: AbstractConnection, *, limit: int | None = None
    ) -> Found[T]:
        """Yield the messages in the queue; no one else sees them until the connection closes.

        If there are more than limit, stderr says so.

        Raises:
            TopologyError: there is no such queue.
        """
        needed = Queue(name=self.name, arguments={})
        await declare(connection, Topology(queues=(needed,)), passive=True)
        channel = await connection.channel()
        queue = await channel.get_queue(self.name, ensure=False)
        message = await queue.get(fail=False)
        # Messages that arrive meanwhile are left alone: a retried one may come back at once. The
        # count is that of basic.get, since queue.declare returns 0 for a busy quorum queue.
        left = 0 if message is None else 1 + (message.message_count or 0)
        if limit is not None and limit < left:
            click.echo(f"{limit:,} of {left:,} shown; --limit shows more.", err=True)
            left = limit
        while message is not None:
            parked = self.read(message)
            if self.reason in parked.reason:
                yield parked, message
            left -= 1
            message = await queue.get(fail=False) if left else None

    async def select(self, connection: AbstractConnection, ids: Collection[str]) -> Found[T]:
        """Yield the messages with one of the ids, or all if there are no ids.

        Raises:
            RelayError: at the end, if an id was not found.
        """
        missing = set(ids)
        async for parked, message in self.messages(connection):
            if not ids or parked.id in ids:
                missing.discard(parked.id)
                yield parked, message
        if missing:
            raise RelayError(f"There is no {' and no '.join(sorted(missing))} {self.place}.")

    async def for_each(
        self,
        connection: AbstractConnection,
        ids: Collection[str],
        handle: Callable[[T, AbstractIncomingMessage], Awaitable[None]],
    ) -> None:
        """Handle the messages with one of the ids one by one, or all if there are no ids.

        Raises:
            RelayError: some could not be handled and stay, or an id was not found.
        """
        count, kept = 0, 0
        async for parked, message in self.select(connection, ids):
            count += 1
            try:
                await handle(parked, message)
            except BrokerError:
                raise  # the others would fail, too
            except RelayError as error:
                kept += 1
                show_row("kept", parked.id, str(error), styles=("red",))
        if kept:
            raise RelayError(f"{kept} of {count} {self.noun} stay {self.place}.")

    async def drop(self, connection: AbstractConnection, ids: Collection[str]) -> None:
        """Remove the messages with one of the ids, or all if there are no ids.

        Raises:
            RelayError: an id was not found.
        """

        async def drop(parked: T, message: AbstractIncomingMessage) -> None:
            await message.ack()
            show_row("dropped", parked.id, styles=("yellow",))

        await self.for_each(connection, ids, drop)

    def confirm_drop(self, ids: Collection[str]) -> None:
        """Ask the person at the terminal whether to drop the messages.

        Raises:
            Abort: the answer is no.
            RelayError: there is no terminal.
        """
        which = f" whose reason contains {self.reason!r}" if self.reason else ""
        what = " and ".join(ids) or f"all {self.noun}{which}"
        confirm_drop(what)


def confirm_drop(what: str) -> None:
    """Ask the person at the terminal whether to drop something.

    Raises:
        Abort: the answer is no.
        RelayError: there is no terminal.
    """
    if not sys.stdin.isatty():
        raise RelayError("Nobody is there to ask; give --yes to drop them.")
    click.confirm(f"Drop {what} for good?", abort=True, err=True)


def require_choice(ids: Collection[str], *, is_all: bool, reason: str = "") -> None:
    """Raise UsageError unless either ids or --all, possibly with a reason, were given."""
    if bool(ids) == is_all:
        raise click.UsageError("Give either ids or --all.")
    if reason and not is_all:
        raise click.UsageError("--reason goes with --all.")


def age_s(moment: float | None, now: float) -> float | None:
    """Return the seconds from moment to now, or None if moment is None."""
    return None if moment is None else round(now - moment, 1)


def show_message(
    title: str, fields: Mapping[str, object], headers: Mapping[str, object], body: bytes
) -> None:
    """Print a message: its fields, its headers, a blank line, and its body."""
    named = {f"header {name}": value for name, value in headers.items()}
    show_table((title, ""), (dict(fields) | named).items())
    click.echo()
    click.echo(printable(body.decode(errors="backslashreplace"), keep="\n\t"))
