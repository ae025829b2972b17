"""`relay replay`: past events, out of the history, once more for one service."""

import asyncio
import math
import signal
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click

from relay.cli.completing import complete_pattern, complete_service
from relay.cli.output import show_row
from relay.cli.replay.progress import Progress, ProgressFile, ReplayRequest, open_progress
from relay.cli.replay.replayer import replay
from relay.cli.timestamps import MOMENT
from relay.errors import BrokerError, RelayError
from relay.events.topology import history_exchange
from relay.observability import logs
from relay.process.command import config_option, run
from relay.settings import load

_DEFAULT_RATE = 2000
"""Below what a service handles beside its own events: the archive takes 3,000 a second."""
_MIN_RATE = 10
"""RabbitMQ takes back what is unanswered for 30 minutes, and it may send some 5,000 at once."""


class _TimeArgument(NamedTuple):
    """A time, and the user's words for it."""

    words: str
    moment: datetime


def _time_argument(
    ctx: click.Context, param: click.Parameter, words: str | None
) -> _TimeArgument | None:
    return None if words is None else _TimeArgument(words, MOMENT.convert(words, param, ctx))


def _checked_rate(_ctx: click.Context, _param: click.Parameter, rate: int) -> int:
    if 0 < rate < _MIN_RATE:
        raise click.BadParameter(f"it is 0, or at least {_MIN_RATE}.")
    return rate


@click.command("replay")
@config_option
@click.option(
    "--since", required=True, callback=_time_argument, help="From when on: 2h ago, or a date."
)
@click.option("--until", callback=_time_argument, help="To when; else to now.")
@click.option(
    "--key",
    "keys",
    metavar="PATTERN",
    shell_complete=complete_pattern,
    multiple=True,
    help="Only what matches; may be given again. Else what the service is bound to.",
)
@click.option(
    "--to",
    "service",
    required=True,
    shell_complete=complete_service,
    help="The service that gets them.",
)
@click.option(
    "--rate",
    type=click.IntRange(min=0),
    default=_DEFAULT_RATE,
    show_default=True,
    callback=_checked_rate,
    help="Events per second at most; 0 for no limit.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the progress is kept; else a file in var/replay.",
)
@click.option(
    "--restart/--resume",
    default=None,
    help="Begin anew whatever the progress is, or go on with it however old it is.",
)
def command(
    config: Path | None,
    *,
    since: _TimeArgument,
    until: _TimeArgument | None,
    keys: tuple[str, ...],
    service: str,
    rate: int,
    state: Path | None,
    restart: bool | None,
) -> None:
    """Publish past events once more, into the queue of one service.

    Those the relays recorded from --since to before --until, to the second. When it is
    interrupted, the same command goes on from there; a few events may come twice then, none is
    left out. Services know a replay by the header `replay`.
    """
    settings = load(config)
    logs.configure(style=settings.log.format, level=settings.log.level)
    end = until or _TimeArgument("", datetime.now(UTC))
    if end.moment <= since.moment:
        raise click.UsageError("--until must be later than --since.")
    request = ReplayRequest(
        history=history_exchange(settings.broker.exchange),
        to=service,
        key=" ".join(keys),
        since=since.words,
        until=end.words,
    )
    path = state or request.default_path
    since_s, until_s = math.floor(since.moment.timestamp()), math.ceil(end.moment.timestamp())
    with open_progress(path, request, restart=bool(restart)) as file:
        if file.latest and restart is None:
            _require_overlap(file.latest, since_s)
        work = replay(settings.broker, file, since_s=since_s, until_s=until_s, rate=rate)
        run(_until_interrupted(work, file))
    _report(file.latest, service)


def _require_overlap(earlier: Progress, since_s: int) -> None:
    """Raise RelayError if an earlier run ends before since_s: `2h` meant another time then."""
    if since_s >= earlier.until_s:
        raise RelayError(
            f"Replay {earlier.id}, {earlier.time_range}, is not done, and --since is later now; "
            "give --resume to go on with it, or --restart to give it up."
        )


async def _until_interrupted(work: Coroutine[Any, Any, None], file: ProgressFile) -> None:
    """Do the work until it is done, or until SIGINT or SIGTERM.

    Raises:
        RelayError: it was interrupted or failed; the message says that the same command resumes.
    """
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError as error:
        raise RelayError(f"Interrupted{_outlook(file)}.") from error
    except BrokerError as error:
        raise RelayError(f"{str(error).removesuffix('.')}{_outlook(file)}.") from error


def _outlook(file: ProgressFile) -> str:
    if file.latest is None:
        return ""
    return f"; the same command goes on after the {file.latest.published} events published so far"


def _report(progress: Progress | None, service: str) -> None:
    """Print what was done."""
    if progress and progress.published:
        cells = (str(progress.published), "events to", service, progress.id)
        show_row("replayed", *cells, styles=("green",))
    else:
        click.echo("Nothing to replay: the history has no such event.", err=True)
