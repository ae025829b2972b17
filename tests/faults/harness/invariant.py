"""The invariant: what must hold of a run, whatever failed meanwhile. Pure.

Every acknowledged event is delivered, quarantined, or still in an outbox; what was refused is
nowhere; every duplicate carries the id of its twin; conversations are in order while all is well.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.faults.harness.journal import ACCEPTED, Arrival, Delivery, Kept, Window

QUARANTINE = "quarantine"
_REFUSED = {401, 413}
_SHOWN = 10  # of a long list of violations, in a report

Mark = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a run came to. The lists are violations, and empty if all is well.

    Args:
        sent: deliveries.
        acknowledged: distinct events that were answered 200, quarantined ones too.
        delivered, quarantined, waiting: where the distinct events of the run were found.
        duplicates: arrivals beyond the first of each event.
        longest_outage_s: the longest time without a 200 for anybody.
        answers: deliveries by status; 0 is no answer.
        lost: ids that were acknowledged and are nowhere.
        forbidden: deliveries answered 401 or 413 of which something exists.
        strangers: events that exist under two ids, or ids that two events share.
        disordered: pairs of deliveries of one conversation that changed places in calm times.
        misanswered: deliveries answered 200 that should not have been, or the other way round.
        astray: what a scenario found beside all that; of a consumer, events it has not got.
        failed: deliveries that were not answered 200 though no fault was a reason for that.
    """

    sent: int
    acknowledged: int
    delivered: int
    quarantined: int
    waiting: int
    duplicates: int
    longest_outage_s: float
    answers: dict[int, int]
    lost: list[str]
    forbidden: list[int]
    strangers: list[str]
    disordered: list[tuple[int, int]]
    misanswered: list[int]
    failed: list[int]
    astray: list[str]

    @property
    def holds(self) -> bool:
        return not any(self.violations().values())

    def violations(self) -> dict[str, list[Any]]:
        """Return the first few of each kind."""
        kinds = ("lost", "forbidden", "strangers", "disordered", "misanswered", "failed", "astray")
        return {kind: getattr(self, kind)[:_SHOWN] for kind in kinds}

    def as_json(self) -> dict[str, Any]:
        """Return all of it, long lists of violations cut short."""
        lost = {"lost": len(self.lost)}
        return asdict(self) | lost | {"violations": self.violations(), "holds": self.holds}


def check(
    deliveries: Sequence[Delivery],
    arrivals: Sequence[Arrival],
    kept: Sequence[Kept],
    windows: Sequence[Window],
    *,
    spares_senders: bool = False,
    astray: Sequence[str] = (),
) -> Verdict:
    """Compute the invariant of a run that has come to rest.

    Args:
        deliveries: in the order of their answers.
        arrivals: in order of arrival, of all queues.
        kept: what the outboxes hold.
        windows: when something was broken on purpose.
        astray: what else was found to be wrong.
        spares_senders: whether what was broken may not be noticed by those who deliver.
    """
    acknowledged = {event_id for d in deliveries if d.status == ACCEPTED for event_id in d.ids}
    arrived = [arrival.id for arrival in arrivals]
    found = {*arrived, *[entry.id for entry in kept]}
    existing = {arrival.number for arrival in arrivals} | {entry.number for entry in kept}
    quarantined = {arrival.id for arrival in arrivals if arrival.queue == QUARANTINE}
    return Verdict(
        sent=len(deliveries),
        acknowledged=len(acknowledged),
        delivered=len(set(arrived) - quarantined),
        quarantined=len(quarantined),
        waiting=len({entry.id for entry in kept}),
        duplicates=len(arrived) - len(set(arrived)),
        longest_outage_s=round(_longest_outage_s(deliveries), 3),
        answers=dict(sorted(Counter([delivery.status for delivery in deliveries]).items())),
        lost=sorted(acknowledged - found),
        forbidden=sorted({d.number for d in deliveries if d.status in _REFUSED} & existing),
        strangers=sorted(_strangers(deliveries, arrivals, kept)),
        disordered=list(_disordered(deliveries, arrivals, windows)),
        misanswered=[d.number for d in deliveries if not _is_right(d)],
        failed=[d.number for d in deliveries if spares_senders and not _is_answered(d)],
        astray=list(astray),
    )


def _is_answered(delivery: Delivery) -> bool:
    return delivery.status == ACCEPTED or delivery.kind in {"forged", "huge"}


def _is_right(delivery: Delivery) -> bool:
    """Return whether a delivery's answer is one it may get. In a fault, 503 or none is."""
    match delivery.kind:
        case "forged":
            return delivery.status not in {ACCEPTED, 413}
        case "huge":
            return delivery.status not in {ACCEPTED, 401}
        case _:
            return delivery.status not in _REFUSED


def _longest_outage_s(deliveries: Sequence[Delivery]) -> float:
    if not deliveries:
        return 0.0
    times = sorted([delivery.answered_at for delivery in deliveries if delivery.status == ACCEPTED])
    began_at = min([delivery.sent_at for delivery in deliveries])
    ended_at = max([delivery.answered_at for delivery in deliveries])
    return max(
        later - earlier
        for earlier, later in zip([began_at, *times], [*times, ended_at], strict=True)
    )


def _strangers(
    deliveries: Iterable[Delivery], arrivals: Iterable[Arrival], kept: Iterable[Kept]
) -> set[str]:
    ids: dict[Mark, set[str]] = defaultdict(set)
    marks: dict[str, set[Mark]] = defaultdict(set)
    answered = [
        (name, (delivery.number, position))
        for delivery in deliveries
        for position, name in enumerate(delivery.ids)
    ]
    messages: list[Arrival | Kept] = [*arrivals, *kept]
    found = [(message.id, (message.number, message.position)) for message in messages]
    for name, mark in answered + found:
        ids[mark].add(name)
        marks[name].add(mark)
    several = [name for names in ids.values() if len(names) > 1 for name in names]
    return {*several, *[name for name, where in marks.items() if len(where) > 1]}


def _disordered(
    deliveries: Iterable[Delivery], arrivals: Iterable[Arrival], windows: Sequence[Window]
) -> Iterator[tuple[int, int]]:
    """Yield neighbours that came the wrong way round, though no fault touched either.

    An event's life is from when it was first sent to when it first arrived. One that a fault
    touched may come late; that is no disorder.
    """
    first_sent: dict[int, Delivery] = {}
    for delivery in deliveries:
        known = first_sent.get(delivery.number)
        if known is None or delivery.sent_at < known.sent_at:
            first_sent[delivery.number] = delivery
    last: dict[tuple[str, str], Mark] = {}
    seen: set[str] = set()
    for arrival in arrivals:
        sent = first_sent.get(arrival.number)
        if sent is None or arrival.id in seen:
            continue
        seen.add(arrival.id)
        if any(sent.sent_at <= w.ended_at and w.began_at <= arrival.at for w in windows):
            continue
        place = (arrival.queue, sent.conversation)
        mark = (arrival.number, arrival.position)
        if mark < last.get(place, (-1, -1)):
            yield last[place][0], arrival.number
        last[place] = max(mark, last.get(place, mark))
