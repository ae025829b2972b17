"""From the text of `/metrics` to counts, quantiles, plots and the verdict."""

import pytest

from relay.console.plots import Quantity, nice_ceiling, plot, span_s, sparkline
from relay.console.rendering import duration, interval, number, per_second, size
from relay.console.verdict import verdict
from relay.console.watching.history import KEPT_S, PolledHistory, Sample
from relay.console.watching.polling import Polled, silent_in
from relay.console.watching.scrape import Change, parse, quantile
from tests.support.rows import for_each_row


def metrics(accepted: int, refused: int, quarantined: int = 0, wrong: int = 0) -> str:
    return f"""# HELP relay_requests_total Requests answered.
# TYPE relay_requests_total counter
relay_requests_total{{source="acme",status="200"}} {accepted}
relay_requests_total{{source="acme",status="401"}} {refused}
# TYPE relay_quarantined_total counter
relay_quarantined_total{{source="acme"}} {quarantined}
# TYPE relay_unauthenticated_total counter
relay_unauthenticated_total{{source="acme",reason="token_wrong"}} {wrong}
# TYPE relay_answer_seconds histogram
relay_answer_seconds_bucket{{le="0.001"}} {accepted}
relay_answer_seconds_bucket{{le="+Inf"}} {accepted + refused}
"""


def test_what_happened_is_the_difference_of_two_looks() -> None:
    change = Change()
    change.add(parse(metrics(10, 1)), parse(metrics(30, 5, 2, 4)))

    counts = change.sources["acme"]
    assert (counts.accepted, counts.quarantined, counts.refused, counts.wrong) == (18, 2, 4, 4)
    assert (change.accepted, change.refused) == (20, 4)


def test_a_receiver_that_started_again_counts_from_zero() -> None:
    change = Change()
    change.add(parse(metrics(1000, 0)), parse(metrics(7, 0)))

    assert change.accepted == 7


def test_the_first_look_says_nothing_about_what_happened() -> None:
    change = Change()
    change.add(None, parse(metrics(1000, 10)))

    assert change.sources == {}


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ({}, 0.5, None),
        ({1.0: 0, 2.0: 0}, 0.5, None),
        ({1.0: 10, 2.0: 10, float("inf"): 10}, 0.5, 0.5),
        ({1.0: 0, 2.0: 10, float("inf"): 10}, 0.5, 1.5),
        ({1.0: 0, 2.0: 0, float("inf"): 10}, 0.99, 2.0),
    ],
)
def test_a_quantile_is_interpolated(
    buckets: dict[float, float], share: float, expected: float | None
) -> None:
    assert quantile(buckets, share) == expected


def test_of_a_source_the_last_hour_is_kept_by_the_minute() -> None:
    history, change = PolledHistory(), Change()
    change.add(parse(metrics(0, 0)), parse(metrics(6, 1)))

    history.count(100_000, change)
    history.count(100_060, change)

    row = history.sources(100_060)["acme"]
    assert row.last_seen == 100_060
    assert (row.hour.accepted, row.hour.refused) == (12, 2)
    assert list(row.per_minute)[-2:] == [7, 7]
    assert history.sources(100_060 + 3600)["acme"].hour.total == 0


@for_each_row(("set_back_s",), [(1,), (59,), (61,), (3600,), (86_400,)])
def test_a_clock_that_is_set_back_leaves_out_what_is_to_come(set_back_s: float) -> None:
    history, change = PolledHistory(), Change()
    change.add(parse(metrics(0, 0)), parse(metrics(6, 1)))
    history.count(200_059, change)

    now = 200_059 - set_back_s
    history.count(now, change)

    row = history.sources(now)["acme"]
    assert len(row.per_minute) == 60
    assert row.per_minute[-1] in (7, 14)
    assert row.hour.total == sum(row.per_minute)


@for_each_row(("value",), [("NaN",), ("+Inf",), ("-Inf",)])
def test_a_value_that_is_no_finite_number_is_not_counted(value: str) -> None:
    text = metrics(6, 1).replace('status="200"} 6', f'status="200"}} {value}')
    change = Change()
    change.add(parse(metrics(0, 0)), parse(text))

    assert (change.accepted, change.refused) == (0, 1)


def sample(at: float, value: float | None) -> Sample:
    return Sample(at, value, *[None] * 8)


def test_a_plot_spans_up_to_two_hours_and_lifts_its_pen_over_a_gap() -> None:
    now = 1_000_000.0
    values = [sample(now - KEPT_S + 10, 5), sample(now - 3600, 5), sample(now - 3595, 5)]

    drawn = plot(
        Quantity("Requests", "per second", per_second),
        [*values, sample(now - 5, None)],
        [("accepted", lambda each: each.accepted)],
        now,
    )

    assert drawn.top == "5.0"
    assert drawn.lines[0].latest == "\N{EN DASH}"
    assert drawn.lines[0].path.count("M") == 2


@for_each_row(
    ("age_s", "expected"),
    [(0, 240), (240, 240), (241, 600), (1200, 1800), (1801, 3600), (7190, 7200), (9000, 7200)],
)
def test_a_plot_reaches_as_far_back_as_something_is_known(age_s: float, expected: float) -> None:
    samples = [sample(10_000 - age_s, 1), sample(10_000, 1)]

    assert span_s(samples, 10_000) == expected
    drawn = plot(Quantity("x", "y", number), samples, [("a", lambda s: s.accepted)], 10_000)
    first = float(drawn.lines[0].path.split()[0].removeprefix("M"))
    assert first == pytest.approx(600 * max(0, 1 - age_s / expected), abs=3) or age_s > expected


def test_a_plot_of_nothing_says_so() -> None:
    assert plot(Quantity("x", "y", number), [], [("a", lambda each: each.outbox)], 0).is_empty


@for_each_row(("value", "top"), [(0, 1), (0.03, 0.05), (1, 1), (1.1, 2), (7, 10), (900, 1000)])
def test_the_top_of_a_plot_is_a_round_number(value: float, top: float) -> None:
    assert nice_ceiling(value) == pytest.approx(top)


def test_a_sparkline_has_a_bar_for_each_value_that_is_not_zero() -> None:
    assert sparkline([0, 1, 2]).count("M") == 2


@for_each_row(
    ("text", "expected"),
    [
        (number(None), "\N{EN DASH}"),
        (number(12345.0), "12,345"),
        (per_second(123.4), "123"),
        (duration(-3), "0 s"),
        (duration(7300), "2 h"),
        (interval(900), "15 min"),
        (interval(5400), "90 min"),
        (interval(90), "90 s"),
        (interval(86_400), "1 d"),
        (interval(0.5), "0.5 s"),
        (size(10 * 2**30), "10.0 GiB"),
        (size(900), "900 B"),
        (size(5 * 2**50), "5,242,880.0 GiB"),
    ],
)
def test_values_are_written_for_people(text: str, expected: str) -> None:
    assert text == expected


def receiver(
    *,
    ready: bool = True,
    waiting: int = 0,
    age_s: float = 0,
    parked: int = 0,
    silent: object = None,
) -> Polled:
    outbox = {"messages": waiting, "oldest_age_s": age_s, "parked": {"count": parked}}
    readiness = {"ready": ready, "broker": {"state": "connected"}, "outbox": outbox}
    readiness |= {} if silent is None else {"silent": silent}
    return Polled(name="r", url="http://r", error=None, readiness=readiness)


def sentence(*receivers: Polled, queues: dict[str, int | None] | None = None) -> str:
    return " ".join(part.text for part in verdict(receivers, [], queues or {}, None))


QUIET = {"last_seen": None, "expect_every_s": 60}


@pytest.mark.parametrize(
    "receivers",
    [
        [receiver(silent={"a": QUIET}), receiver()],
        [receiver(silent={"a": QUIET}), receiver(silent={"b": QUIET})],
        [receiver(silent={"a": {"expect_every_s": "often"}, "b": None})],
        [receiver(silent="all of them")],
        [Polled(name="gone", url="", readiness={"silent": {"a": QUIET}})],
    ],
)
def test_a_source_is_silent_if_all_who_answer_say_so(receivers: list[Polled]) -> None:
    assert silent_in(receivers) == {}
    assert "silent" not in sentence(*receivers)


def test_the_verdict_is_one_line_when_all_is_well() -> None:
    assert sentence(receiver(), receiver(), receiver()) == (
        "Accepting. 3 of 3 receivers ready. RabbitMQ connected. 0 waiting. Nothing needs a person."
    )


@for_each_row(
    ("said", "receivers", "queues"),
    [
        ("Not accepting", [receiver(ready=False)], {}),
        ("No receiver was found.", [], {}),
        ("1 of 2 receivers ready.", [receiver(), Polled(name="b", url="http://b")], {}),
        ("1,200 waiting, the oldest for 90 s.", [receiver(waiting=1200, age_s=90)], {}),
        ("What needs a person is not known.", [receiver()], {"webhooks.quarantine": None}),
        ("1 source is silent.", [receiver(silent={"a": QUIET})], {}),
        ("2 sources are silent.", [receiver(silent={"a": QUIET, "b": QUIET})] * 2, {}),
        ("1 source is silent.", [receiver(silent={"a": QUIET}), Polled(name="b", url="")], {}),
    ],
)
def test_the_verdict_says_what_is_amiss(
    said: str, receivers: list[Polled], queues: dict[str, int | None]
) -> None:
    assert said in sentence(*receivers, queues=queues)


@for_each_row(
    ("said", "parked", "queues"),
    [
        ("1 message in 1 queue needs a person.", [], {"webhooks.quarantine": 1}),
        ("12 messages in 1 queue need a person.", [], {"webhooks.quarantine": 12, "a.dead": 0}),
        ("2 messages in 2 queues need a person.", [0, 0], {"a.dead": 1, "b.dead": 1, "c": None}),
        ("1,203 messages in 3 queues need a person.", [], {"a": 1200, "b": 1, "c": 2}),
        ("1 parked message needs a person.", [1, 0], {"a.dead": 0}),
        ("1,005 parked messages need a person.", [1000, 5], {}),
        ("1 message in 1 queue and 1 parked message need a person.", [1], {"a.dead": 1}),
        ("3 messages in 1 queue and 4 parked messages need a person.", [2, 2], {"a.dead": 3}),
    ],
)
def test_the_verdict_counts_the_messages_that_need_a_person(
    said: str, parked: list[int], queues: dict[str, int | None]
) -> None:
    *_, needs_a_person = sentence(
        *[receiver(parked=count) for count in parked], queues=queues
    ).partition("waiting. ")

    assert needs_a_person == said
