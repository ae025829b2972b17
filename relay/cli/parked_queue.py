"""Messages that wait for a person: found by id, dealt with one by one, dropped once confirmed.

Everything is fetched over one channel, and closing that gives back what was not acked: all of it,
but in no order that one may rely on, since a quorum queue takes each `basic.get` for a consumer.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import click
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from relay.broker import connection as broker
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


class Kept(Protocol):
    """What is read from a message."""

    @property
    def id(self) -> str:
        """What a person calls it by."""

    @property
    def reason(self) -> str | None:
        """Why it is here."""


T = TypeVar("T", bound=Kept)
Found = AsyncIterator[tuple[T, AbstractIncomingMessage]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedQueue(Generic[T]):
    """A queue of such messages.

    Args:
        name: of the queue.
        read: tells what a message is, body aside.
        noun: what several of them are called.
        place: where they are, with a preposition.
        reason: of those that count, as they contain it; the others are left alone.
    """

    name: str
    read: Callable[[AbstractIncomingMessage], T]
    noun: str
    place: str
    reason: str = ""

    async def messages(
        self, connection: AbstractConnection, *, limit: int | None = None
    ) -> Found[T]:
        """Yield what is in the queue now; others don't see it until connection closes.

        When there are more than limit, stderr says so.

        Raises:
            TopologyError: there is no such queue.
        """
        needed = Queue(name=self.name, arguments={})
        await broker.declare(connection, Topology(queues=(needed,)), passive=True)
        channel = await connection.channel()
        queue = await channel.get_queue(self.name, ensure=False)
        message = await queue.get(fail=False)
        # What comes in meanwhile is left for the next time: a retried message may die at once. The
        # count is that of basic.get: a declared quorum queue that is too busy to count says 0.
        left = 0 if message is None else 1 + (message.message_count or 0)
        if limit is not None and limit < left:
            click.echo(f"{limit:,} of {left:,} shown; --limit shows more.", err=True)
            left = limit
        while message is not None:
            it = self.read(message)
            if self.reason in (it.reason or ""):
                yield it, message
            left -= 1
            message = await queue.get(fail=False) if left else None

    async def chosen(self, connection: AbstractConnection, ids: Collection[str]) -> Found[T]:
        """Yield the messages that have one of ids, or all if there are no ids.

        Raises:
            RelayError: at the end, when there is none with one of the ids.
        """
        missing = set(ids)
        async for it, message in self.messages(connection):
            if not ids or it.id in ids:
                missing.discard(it.id)
                yield it, message
        if missing:
            raise RelayError(f"There is no {' and no '.join(sorted(missing))} {self.place}.")

    async def each(
        self,
        connection: AbstractConnection,
        ids: Collection[str],
        deal_with: Callable[[T, AbstractIncomingMessage], Awaitable[None]],
    ) -> None:
        """Deal with the messages that have one of ids, or with all if there are no ids.

        Raises:
            RelayError: some could not be dealt with and stay, or there is none with such an id.
        """
        count, kept = 0, 0
        async for it, message in self.chosen(connection, ids):
            count += 1
            try:
                await deal_with(it, message)
            except BrokerError:
                raise  # the others would fare no better
            except RelayError as error:
                kept += 1
                show_row("kept", it.id, str(error), styles=("red",))
        if kept:
            raise RelayError(f"{kept} of {count} {self.noun} stay {self.place}.")

    async def drop(self, connection: AbstractConnection, ids: Collection[str]) -> None:
        """Remove the messages that have one of ids, or all if there are no ids.

        Raises:
            RelayError: there is none with such an id.
        """

        async def drop(it: T, message: AbstractIncomingMessage) -> None:
            await message.ack()
            show_row("dropped", it.id, styles=("yellow",))

        await self.each(connection, ids, drop)

    def ask(self, ids: Collection[str]) -> None:
        """Ask whether they may be dropped.

        Raises:
            Abort: they may not.
            RelayError: nobody is there.
        """
        if not sys.stdin.isatty():
            raise RelayError("Nobody is there to ask; give --yes to drop them.")
        which = f" whose reason contains {self.reason!r}" if self.reason else ""
        what = " and ".join(ids) or f"all {self.noun}{which}"
        click.confirm(f"Drop {what} for good?", abort=True, err=True)


def require_choice(ids: Collection[str], *, is_all: bool, reason: str = "") -> None:
    """Raise UsageError unless either ids or all of them, maybe for a reason, are asked for."""
    if bool(ids) == is_all:
        raise click.UsageError("Give either ids or --all.")
    if reason and not is_all:
        raise click.UsageError("--reason goes with --all.")


def age_s(moment: float | None, now: float) -> float | None:
    """Return the seconds from moment to now, or None when the moment is not known."""
    return None if moment is None else round(now - moment, 1)


def show_message(
    title: str, fields: Mapping[str, object], headers: Mapping[str, object], body: bytes
) -> None:
    """Print a message: what is known of it, its headers, a blank line, its body."""
    named = {f"header {name}": value for name, value in headers.items()}
    show_table((title, ""), (dict(fields) | named).items())
    click.echo()
    click.echo(printable(body.decode(errors="backslashreplace"), keep="\n\t"))
