"""How far a replay has come, for a person who watches it."""

import contextlib
from collections.abc import Callable, Iterator

import rich.progress

from relay.cli.output import is_terminal
from relay.cli.replay.progress import Progress


@contextlib.contextmanager
def shown(progress: Progress) -> Iterator[Callable[[Progress], None]]:
    """Show a progress bar on a terminal, and yield the function that moves it."""
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.TaskProgressColumn(),
        rich.progress.TextColumn("{task.fields[published]} events"),
        rich.progress.TimeRemainingColumn(),
    )
    with rich.progress.Progress(*columns, disable=not is_terminal()) as bar:
        total = progress.end_offset + 1 - progress.first_offset
        task = bar.add_task(progress.id, total=total, published=progress.published)

        def move(progress: Progress) -> None:
            completed = progress.next_offset - progress.first_offset
            bar.update(task, completed=completed, published=progress.published)

        move(progress)
        yield move
