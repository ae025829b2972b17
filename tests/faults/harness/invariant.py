"""The invariant: what must hold after a run, whatever failed during it. Pure.

Every acknowledged event was delivered, quarantined, is still in an outbox, or was said to be
ignored; nothing that was refused or ignored exists anywhere; duplicates have the id of the
original; conversations are in order while nothing is broken. Where the broker refuses single
events, the others are innocent, and do not wait.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.faults.harness.journal import ACCEPTED, Arrival, Delivery, Kept, Kind, Window

QUARANTINE = "quarantine"
_REFUSED = {401, 413}
_NOT_ACCEPTED: frozenset[Kind] = frozenset({"forged", "huge"})
_SHOWN = 10  # of a long list of violations, in a report

Mark = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a run came to. The lists are violations, and empty if all is well.

    Args:
        sent: deliveries.
        acknowledged: distinct events that were answered 200, quarantined and ignored ones too.
        ignored: those that the settings leave out.
        delivered, quarantined, waiting: where the distinct events of the run were found.
        duplicates: arrivals beyond the first of each event.
        longest_outage_s: the longest time without a 200 for anybody.
        answers: deliveries by status; 0 is no answer.
        lost: ids that were acknowledged and are nowhere.
        ignored_but_stored: ids that were said to be ignored, and are somewhere.
        refused_but_stored: deliveries answered 401 or 413 of which something exists.
        id_conflicts: events that exist under two ids, or ids that two events share.
        out_of_order: pairs of deliveries of one conversation that overtook each other while
            nothing was broken.
        wrong_status: deliveries answered 200 that should not have been, or the other way round.
        consumer_mismatches: events that a consumer lacks, has twice, or should not have.
        failed: deliveries that were not answered 200 though no fault excuses that.
        longest_wait_s: how long an innocent event waited: its sender for the answer, or the event
            for its delivery after that; None where no limit is set.
        held_up: innocent deliveries that waited beyond the limit.
    """

    sent: int
    acknowledged: int
    delivered: int
    quarantined: int
    ignored: int
    waiting: int
    duplicates: int
    longest_outage_s: float
    answers: dict[int, int]
    lost: list[str]
    ignored_but_stored: list[str]
    refused_but_stored: list[int]
    id_conflicts: list[str]
    out_of_order: list[tuple[int, int]]
    wrong_status: list[int]
    failed: list[int]
    consumer_mismatches: list[str]
    longest_wait_s: float | None
    held_up: list[int]

    @property
    def holds(self) -> bool:
        return not any(self.violations().values())

    def violations(self) -> dict[str, list[Any]]:
        """Return the first few of each kind."""
        kinds = (
            *("lost", "ignored_but_stored", "refused_but_stored", "id_conflicts", "out_of_order"),
            *("wrong_status", "failed", "consumer_mismatches", "held_up"),
        )
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
    must_accept_all: bool = False,
    may_refuse_poison: bool = False,
    wait_limit_s: float | None = None,
    consumer_mismatches: Sequence[str] = (),
) -> Verdict:
    """Check a run in which nothing moves any more.

    Args:
        deliveries: in the order of their answers.
        arrivals: in order of arrival, of all queues.
        kept: what the outboxes hold.
        windows: when something was broken on purpose.
        must_accept_all: whether senders must not notice what was broken.
        may_refuse_poison: whether those of what the broker does not take may.
        wait_limit_s: how long innocent events may wait, if that is limited.
        consumer_mismatches: see `Verdict`.
    """
    acknowledged = {event_id for d in deliveries if d.status == ACCEPTED for event_id in d.ids}
    ignored = {event_id for d in deliveries for event_id in d.ignored}
    arrived = [arrival.id for arrival in arrivals]
    found = {*arrived, *[entry.id for entry in kept]}
    quarantined = {arrival.id for arrival in arrivals if arrival.queue == QUARANTINE}
    waits = [] if wait_limit_s is None else list(_waits(deliveries, arrivals))
    return Verdict(
        sent=len(deliveries),
        acknowledged=len(acknowledged | ignored),
        ignored=len(ignored),
        delivered=len(set(arrived) - quarantined),
        quarantined=len(quarantined),
        waiting=len({entry.id for entry in kept}),
        duplicates=len(arrived) - len(set(arrived)),
        longest_outage_s=round(_longest_outage_s(deliveries), 3),
        answers=dict(sorted(Counter([delivery.status for delivery in deliveries]).items())),
        lost=sorted(acknowledged - found),
        ignored_but_stored=sorted(ignored & found),
        refused_but_stored=sorted(_refused_but_stored(deliveries, arrivals, kept)),
        id_conflicts=sorted(_id_conflicts(deliveries, arrivals, kept)),
        out_of_order=list(_out_of_order(deliveries, arrivals, windows)),
        wrong_status=[d.number for d in deliveries if not _is_right(d)],
        failed=_failed(deliveries, may_refuse_poison=may_refuse_poison) if must_accept_all else [],
        consumer_mismatches=list(consumer_mismatches),
        longest_wait_s=round(max([wait_s for _, wait_s in waits]), 3) if waits else None,
        held_up=sorted({number for number, wait_s in waits if wait_s > (wait_limit_s or 0)}),
    )


def _refused_but_stored(
    deliveries: Sequence[Delivery], arrivals: Sequence[Arrival], kept: Sequence[Kept]
) -> set[int]:
    refused = {delivery.number for delivery in deliveries if delivery.status in _REFUSED}
    return refused & ({each.number for each in arrivals} | {each.number for each in kept})


def _failed(deliveries: Sequence[Delivery], *, may_refuse_poison: bool) -> list[int]:
    excused = _NOT_ACCEPTED | {"poisoned"} if may_refuse_poison else _NOT_ACCEPTED
    return [d.number for d in deliveries if not _is_answered(d, excused)]


def _is_answered(delivery: Delivery, excused: Collection[Kind]) -> bool:
    return delivery.status == ACCEPTED or delivery.kind in excused


def _is_poison(delivery: Delivery, position: int) -> bool:
    return delivery.kind == "poisoned" and position == 0


def _waits(
    deliveries: Iterable[Delivery], arrivals: Iterable[Arrival]
) -> Iterator[tuple[int, float]]:
    """Yield how long each innocent event waited, with the number of its delivery."""
    arrived_at: dict[str, float] = {}
    for arrival in arrivals:
        arrived_at.setdefault(arrival.id, arrival.at)
    for delivery in deliveries:
        if delivery.kind != "poisoned":
            yield delivery.number, delivery.answered_at - delivery.sent_at
        for position, event_id in enumerate(delivery.ids):
            if event_id in arrived_at and not _is_poison(delivery, position):
                yield delivery.number, arrived_at[event_id] - delivery.answered_at


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


def _id_conflicts(
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


def _out_of_order(
    deliveries: Iterable[Delivery], arrivals: Iterable[Arrival], windows: Sequence[Window]
) -> Iterator[tuple[int, int]]:
    """Yield pairs that arrived in the wrong order though no fault touched either of them.

    An event lives from when it was first sent until it first arrived. If a fault falls into that
    time, the event may come late. One that the broker does not take comes late at any time.
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
        if sent is None or arrival.id in seen or _is_poison(sent, arrival.position):
            continue
        seen.add(arrival.id)
        if any(sent.sent_at <= w.ended_at and w.began_at <= arrival.at for w in windows):
            continue
        place = (arrival.queue, sent.conversation)
        mark = (arrival.number, arrival.position)
        if mark < last.get(place, (-1, -1)):
            yield last[place][0], arrival.number
        last[place] = max(mark, last.get(place, mark))
