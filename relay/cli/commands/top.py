"""`relay top`: the console's overview in a terminal."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from relay.cli.output import is_terminal, printable
from relay.console.deployment import Deployment
from relay.console.rendering import ago, duration, milliseconds, number, per_second
from relay.console.source_badges import Badge, count_badges, silence_badges
from relay.console.verdict import verdict
from relay.console.watching.history import PolledHistory, Sample
from relay.console.watching.polling import Polled, Poller, http_session, silent_in
from relay.console.watching.queues import QueueWatch
from relay.console.watching.scrape import Change, SourceCounts, last_seen
from relay.observability import logs
from relay.process import tasks
from relay.process.command import config_option, run
from relay.settings import load

_REFRESH_S = 1.0
_STYLES = {"good": "green", "warn": "yellow", "bad": "bold red", "plain": ""}
_MAX_ROWS = 200
_MEDIAN, _P99 = 0.5, 0.99


@click.command("top")
@config_option
@click.option("--once", is_flag=True, help="Print it once and end, as in a pipe.")
def command(config: Path | None, *, once: bool) -> None:
    """Show receivers, sources and what waits, refreshed each second, until Ctrl-C.

    It asks whom the console asks: [console] names receivers and services, else it is the receiver
    of these settings.
    """
    settings = load(config)
    logs.configure(style="json", level="error")  # what is amiss stands on the screen
    run(_watch(Deployment(settings), is_once=once or not is_terminal()))


async def _watch(deployment: Deployment, *, is_once: bool) -> None:
    stop = tasks.stop_signal()
    queues, history = deployment.queue_watch(), PolledHistory()
    async with http_session() as http:
        poller = deployment.poller(http, queues, history)
        overview = _Overview(deployment, poller, queues, history)
        if is_once:
            await tasks.first(_ask_twice(poller, queues, stop))
            Console().print(overview.shown(time.time()))
            return
        async with (
            tasks.task("poller", poller.run()) as polling,
            tasks.task("queues", queues.run()) as watching,
            tasks.task("settings", deployment.follow()) as following,
        ):
            await tasks.first(_refresh(overview, stop), polling, watching, following)


async def _ask_twice(poller: Poller, queues: QueueWatch, stop: asyncio.Event) -> None:
    """Ask all of them, and the receivers once more: a rate needs two looks."""
    await asyncio.gather(poller.ask_all(), queues.ask_once())
    await tasks.is_set_within(stop, _REFRESH_S)
    await poller.ask_all()


async def _refresh(overview: "_Overview", stop: asyncio.Event) -> None:
    with Live(console=Console(), screen=True, auto_refresh=False) as live:
        while not stop.is_set():
            live.update(overview.shown(time.time()), refresh=True)
            await tasks.is_set_within(stop, _REFRESH_S)


class _Overview:
    """What is shown, for 80 columns and more.

    Args:
        deployment: what is watched.
        poller: knows receivers and services.
        queues: knows what waits in RabbitMQ.
        history: has the latest rates.
    """

    def __init__(
        self, deployment: Deployment, poller: Poller, queues: QueueWatch, history: PolledHistory
    ) -> None:
        self._deployment = deployment
        self._poller = poller
        self._queues = queues
        self._history = history

    def shown(self, now: float) -> RenderableType:
        """Return all of it."""
        asked_at = self._poller.asked_at
        if asked_at is None:
            return Text("Asking the receivers.")
        receivers = list(self._poller.receivers.values())
        totals = Change()
        for receiver in receivers:
            totals.add({}, receiver.scrape or {})  # counters begin at 0
        parts: list[RenderableType] = [
            self._verdict(receivers),
            *self._broker_error(),
            _rates(self._history.samples[-1], totals),
            Text(),
            _receivers([*receivers, *self._poller.services.values()]),
            Text(),
            self._sources(receivers, totals, now),
            Text(),
            self._waiting(),
            Text(f"Asked {duration(now - asked_at)} ago. Counts are since the receivers started.",
                 style="dim"),
        ]  # fmt: skip
        return Group(*parts)

    def _verdict(self, receivers: Sequence[Polled]) -> Text:
        parts = verdict(
            receivers,
            list(self._poller.services.values()),
            self._queues.waiting,
            self._queues.error,
        )
        return Text(" ").join(Text(part.text, style=_STYLES[part.tone]) for part in parts)

    def _broker_error(self) -> Iterator[Text]:
        if self._queues.error:
            yield Text(printable(self._queues.error), style=_STYLES["warn"])

    def _sources(self, receivers: Sequence[Polled], totals: Change, now: float) -> Table:
        table = _table("Source", "Last seen", "Taken", "Remarks", right=(2,))
        seen: dict[str, float] = {}
        for receiver in receivers:
            for name, at in last_seen(receiver.scrape or {}).items():
                seen[name] = max(at, seen.get(name, 0.0))
        silent, configured = silent_in(receivers), self._deployment.sources
        names = [*configured, *sorted({*totals.sources, *seen, *silent} - {*configured})]
        for name in names[:_MAX_ROWS]:
            counts = totals.sources.get(name, SourceCounts())
            badges = silence_badges(seen.get(name), silent.get(name), now)
            badges += count_badges(counts, is_configured=name in configured)
            taken = counts.accepted + counts.quarantined
            row = (name, ago(seen.get(name), now), number(taken))
            table.add_row(*[Text(printable(cell)) for cell in row], _badges(badges))
        return table

    def _waiting(self) -> Table:
        table = _table("Waits for a person", "Messages", right=(1,))
        for name, count in self._queues.waiting.items():
            style = _STYLES["warn" if count else "plain"]
            table.add_row(Text(printable(name)), Text(number(count), style=style))
        return table


def _rates(sample: Sample, totals: Change) -> Text:
    """Return rates of the last seconds; the times are of all answers there were."""
    return Text(
        f"{per_second(sample.accepted)} accepted/s, {per_second(sample.refused)} refused/s; "
        f"answers within {milliseconds(totals.quantile_s(_MEDIAN))} ms (p50), "
        f"{milliseconds(totals.quantile_s(_P99))} ms (p99)"
    )


def _receivers(polled: Sequence[Polled]) -> Table:
    table = _table("Receiver", "State", "RabbitMQ", "Waiting", "Oldest", "Parked", right=(3, 4, 5))
    for each in polled[:_MAX_ROWS]:
        outbox, is_asked = each.outbox, bool(each.url)
        state = "ready" if each.is_ready else each.reason if is_asked else "not asked"
        tone = "good" if each.is_ready else "bad" if is_asked else "plain"
        oldest_s = outbox.get("oldest_age_s")
        parked = each.parked.get("count")
        table.add_row(
            Text(printable(each.name)),
            Text(printable(state), style=_STYLES[tone]),
            Text(printable(str(each.broker.get("state", "")))),
            Text(number(outbox.get("messages"))),
            Text("" if oldest_s is None else duration(oldest_s)),
            Text(number(parked), style=_STYLES["warn" if parked else "plain"]),
        )
    return table


def _table(*headings: str, right: Sequence[int] = ()) -> Table:
    """Return a table as wide as the terminal; long cells are folded, numbers are not."""
    table = Table(*headings, box=None, header_style="bold", pad_edge=False, expand=False)
    for index, column in enumerate(table.columns):
        column.overflow = "fold"
        if index in right:
            column.justify, column.no_wrap = "right", True
    return table


def _badges(badges: Sequence[Badge]) -> Text:
    return Text(", ").join(Text(printable(words), style=_STYLES[tone]) for words, tone in badges)
