"""What is remarkable about a source, in a few words, and how bad that is."""

from relay.console.rendering import duration, interval
from relay.console.watching.scrape import SourceCounts

Badge = tuple[str, str]
"""The words, and a tone: plain, warn or bad."""


def silence_badges(
    last_seen: float | None, expect_every_s: float | None, now: float
) -> list[Badge]:
    """Return what is to be said of a source that should have been heard of; None: it was."""
    if expect_every_s is None:
        return []
    since = "never heard of" if last_seen is None else duration(now - last_seen)
    return [(f"silent: {since}, expected every {interval(expect_every_s)}", "warn")]


def count_badges(counts: SourceCounts, *, is_configured: bool = True) -> list[Badge]:
    """Return what is remarkable about what became of a source's requests."""
    badges = []
    if counts.wrong and not counts.accepted:
        badges.append((f"secret wrong? {counts.wrong:,.0f} refused, 0 accepted", "bad"))
    elif counts.refused and is_configured:
        badges.append((f"{counts.refused:,.0f} refused", "warn"))
    if counts.quarantined:
        badges.append((f"{counts.quarantined:,.0f} quarantined", "warn"))
    if not is_configured:
        badges.append(("not in these settings", "plain"))
    return badges
