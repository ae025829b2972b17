"""What the console's benchmark says of figures made up."""

import pytest

from tests.bench.harness.bench_harness import Slice
from tests.bench.report.watched import ARMS, NONE, QUEUE, WAITED, WATCHED, Found, report


def found_with(cpu_us: dict[str, float], p99_ms: dict[str, float]) -> Found:
    found = Found(rows=1_234, pages_s=[0.5], resident_bytes=76_000_000)
    for arm in ARMS:
        answers_ms = [1.0] * 980 + [p99_ms[arm]] * 20
        done = Slice(
            events=1_000,
            cpu_us=cpu_us[arm],
            acknowledged_rate=1_000,
            delivered_rate=1_000,
            latency_ms={"99": p99_ms[arm]},
            answers_ms=answers_ms,
        )
        found.slices[arm] += [done, done]
        found.used[arm] += [{"the relay": cpu_us[arm], "RabbitMQ": 100.0, WAITED: 7.0}] * 2
    return found


def test_what_feeds_cost_is_divided_among_rabbitmq_and_the_console() -> None:
    found = found_with({NONE: 100, QUEUE: 110, WATCHED: 121}, {NONE: 2, QUEUE: 3, WATCHED: 6})

    text = report(found, 1000)

    lines = text.splitlines()
    shares = [line for line in lines if ", of " in line and line.startswith(("| 5", "| a bare"))]
    assert [line.split("|")[2:4] for line in shares] == [
        [" 1.210 (1.210 to 1.210) ", " 3.000 (3.000 to 3.000) "],
        [" 1.100 (1.100 to 1.100) ", " 1.500 (1.500 to 1.500) "],
        [" 1.100 (1.100 to 1.100) ", " 2.000 (2.000 to 2.000) "],
    ]
    assert "p99 of all answers: 2.00 ms without feeds, 3.00 ms with a bare queue, 6.00" in text


@pytest.mark.parametrize(("ratio", "holds"), [(0.9, "yes"), (1.03, "yes"), (1.04, "**no**")])
def test_feeds_may_cost_three_percent_of_what_answers_take_without(
    ratio: float, holds: str
) -> None:
    cost = {NONE: 1.0, QUEUE: 5.0, WATCHED: ratio}

    lines = report(found_with(cost, cost), 1000).splitlines()

    (cpu, p99) = [line for line in lines if "with 5 feeds open" in line]
    assert cpu.endswith(f"| {holds} |")
    assert p99.endswith(f"| {holds} |")


def test_waiting_for_a_core_is_no_cpu() -> None:
    cost = dict.fromkeys(ARMS, 50.0)

    text = report(found_with(cost, cost), 1000)

    assert "| CPU of all together | 150 (150 to 150) |" in text
    assert f"| {WAITED} | 7 (7 to 7) |" in text


def test_the_file_has_slices_without_their_single_answers() -> None:
    cost = dict.fromkeys(ARMS, 50.0)

    document = found_with(cost, cost).document()

    assert [len(slices) for slices in document["slices"].values()] == [2, 2, 2]
    assert "answers_ms" not in str(document)
