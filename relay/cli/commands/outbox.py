"""`relay outbox`: what waits on this machine's disk, whether a relay runs or not."""

from collections import Counter
from pathlib import Path

import click

from relay.cli.main import json_option
from relay.cli.output import show_json, show_table
from relay.outbox import stats as outbox_stats
from relay.outbox.stats import Stats
from relay.process.command import config_option
from relay.settings import load


@click.command("outbox")
@config_option
@json_option
def command(config: Path | None, *, as_json: bool) -> None:
    """Show what waits in the outbox."""
    settings = load(config)
    directory, max_bytes = settings.outbox.directory, settings.outbox.max_bytes
    inspected = outbox_stats.inspect_all(directory, max_bytes, settings.ingress.workers)
    summary = _summary(outbox_stats.total([stats for stats, _ in inspected.values()], max_bytes))
    counts: Counter[str] = Counter()
    for _, keys in inspected.values():
        counts.update(dict(keys))
    if as_json:
        each = [{"worker": number} | _summary(stats) for number, (stats, _) in inspected.items()]
        show_json(summary | {"routing_keys": dict(counts.most_common()), "workers": each})
    else:
        show_table(("Outbox", str(directory)), summary.items())
        if len(inspected) > 1:
            rows = [(f"worker {number}", stats.depth) for number, (stats, _) in inspected.items()]
            show_table(("Worker", "Messages"), rows)
        show_table(("Routing key", "Messages"), counts.most_common())


def _summary(stats: Stats) -> dict[str, object]:
    return {
        "messages": stats.depth,
        "bytes": stats.used_bytes,
        "max_bytes": stats.max_bytes,
        "oldest_age_s": round(outbox_stats.age_s(stats), 3),
    }
