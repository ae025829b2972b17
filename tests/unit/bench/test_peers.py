"""The comparison with other systems: what is counted, their configurations, and the tables."""

import asyncio
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bench.harness.bench_harness import Slice
from tests.bench.peers.outage import Outage, Outcome, Sent, outcome
from tests.bench.peers.processes import started
from tests.bench.peers.report import Found, markdown
from tests.bench.peers.speed import Speed
from tests.bench.peers.systems import SYSTEMS, Program, System, with_virtual_host
from tests.support.rows import for_each_row

OTHERS = [system for system in SYSTEMS if system.program]
BUFFERED = [system for system in OTHERS if system.name.endswith(("-sqlite", "-disk"))]
URL, PORT, EXCHANGE = "amqp://guest:guest@127.0.0.1:5999/", 8999, "an-exchange"


def sent(number: int, at: float, *, status: int = 200, conversation: int = 0) -> Sent:
    """Return a delivery that is answered a tenth of a second after it was sent."""
    return Sent(number, conversation, at, at + 0.1, status)


def filled_in(system: System, directory: Path = Path("/a/folder")) -> str:
    return system.configuration(port=PORT, url=URL, exchange=EXCHANGE, directory=directory)


def values(document: Any) -> list[Any]:
    """Return all that is said anywhere in a document."""
    match document:
        case dict():
            return [value for each in document.values() for value in values(each)]
        case list():
            return [value for each in document for value in values(each)]
        case _:
            return [document]


@for_each_row(
    ("deliveries", "arrived", "expected"),
    [
        ([], [], (0, 0, 0, 0)),
        ([sent(0, 0), sent(1, 1)], [0, 1], (2, 0, 0, 0)),
        ([sent(0, 0), sent(1, 1)], [1], (2, 1, 0, 0)),
        ([sent(0, 0), sent(1, 1)], [], (2, 2, 0, 0)),
        ([sent(0, 0, status=204), sent(1, 1, status=299)], [1], (2, 1, 0, 0)),
        ([sent(0, 0, status=503), sent(1, 1, status=0)], [], (0, 0, 0, 0)),
        ([sent(0, 0, status=503), sent(1, 1, status=300)], [0, 1], (0, 0, 0, 0)),
        ([sent(0, 0), sent(1, 1)], [0, 1, 1, 1], (2, 0, 1, 0)),
        ([sent(0, 0, status=0), sent(1, 1)], [0, 1, 0, 1], (1, 0, 2, 0)),
        ([sent(0, 0), sent(1, 1)], [1, 0], (2, 0, 0, 1)),
        ([sent(0, 0), sent(1, 1), sent(2, 2)], [2, 0, 1], (3, 0, 0, 2)),
        ([sent(0, 0), sent(1, 1)], [0, 1, 0], (2, 0, 1, 0)),
        ([sent(0, 0), sent(1, 0.05)], [1, 0], (2, 0, 0, 0)),
        ([sent(0, 0, status=503), sent(1, 1)], [1, 0], (1, 0, 0, 0)),
        ([sent(0, 0), sent(1, 1, conversation=1)], [1, 0], (2, 0, 0, 0)),
        ([sent(0, 0)], [0, -1], (1, 0, 0, 0)),
    ],
)
def test_what_became_of_deliveries_is_counted(
    deliveries: list[Sent], arrived: Sequence[int], expected: tuple[int, int, int, int]
) -> None:
    found = outcome(deliveries, arrived)

    assert (found.answered, found.lost, found.twice, found.out_of_order) == expected
    assert found.sent == len(deliveries) == sum(found.statuses.values())


@pytest.mark.parametrize("system", OTHERS, ids=lambda system: system.name)
def test_a_configuration_has_what_the_harness_uses_where_it_belongs(system: System) -> None:
    document = yaml.safe_load(filled_in(system))

    said = values(document)
    for value in (f"127.0.0.1:{PORT}", URL.rstrip("/") + "/%2f", EXCHANGE):
        assert said.count(value) == 1, value
    assert not [value for value in said if "$" in str(value)]
    assert "webhooks" in said  # the routing key; the harness's queue is bound with `#`


@pytest.mark.parametrize("system", OTHERS, ids=lambda system: system.name)
def test_a_configuration_asks_for_the_guarantee_that_its_row_names(system: System) -> None:
    document = yaml.safe_load(filled_in(system))

    if "vector" in system.name:
        source, sink = document["sources"]["webhooks"], document["sinks"]["rabbitmq"]
        assert sink["acknowledgements"] == {"enabled": True}
        assert (source["decoding"]["codec"], sink["encoding"]["codec"]) == ("bytes", "text")
        assert sink["inputs"] == list(document["sources"])
    else:
        assert document["output"]["amqp_0_9"]["persistent"] is True
        assert document["output"]["amqp_0_9"]["metadata"] == {"exclude_prefixes": [""]}


@pytest.mark.parametrize("system", BUFFERED, ids=lambda system: system.name)
def test_a_buffer_is_all_that_a_configuration_with_one_has_more(system: System) -> None:
    (plain,) = [each for each in OTHERS if each.name == system.name.rpartition("-")[0]]

    without, buffered = (yaml.safe_load(filled_in(each)) for each in (plain, system))

    holder = buffered if "buffer" in buffered else buffered["sinks"]["rabbitmq"]
    assert holder.pop("buffer")
    assert buffered == without


@pytest.mark.parametrize("system", OTHERS, ids=lambda system: system.name)
def test_a_program_that_is_here_takes_its_configuration(system: System, tmp_path: Path) -> None:
    assert system.program
    if reason := system.lacks():
        pytest.skip(reason)
    file = tmp_path / "configuration.yaml"
    file.write_text(filled_in(system, tmp_path))
    arguments = [each.format(configuration=file) for each in system.program.check]

    done = subprocess.run(
        [system.program.name, *arguments], capture_output=True, check=False, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://127.0.0.1:1/", "amqp://127.0.0.1:1/%2f"),
        ("amqp://127.0.0.1:1", "amqp://127.0.0.1:1/%2f"),
        ("amqp://u:p@127.0.0.1:1/%2f", "amqp://u:p@127.0.0.1:1/%2f"),
        ("amqp://127.0.0.1:1/own", "amqp://127.0.0.1:1/own"),
    ],
)
def test_a_url_names_its_virtual_host(url: str, expected: str) -> None:
    assert with_virtual_host(url) == expected


def of_others(name: str, *arguments: str) -> System:
    program = Program(name=name, arguments=arguments, check=(), home="https://example.com/")
    return System(name="vector", what="", guarantee="", program=program)


def test_a_program_that_is_missing_is_named_with_where_to_get_it() -> None:
    assert of_others("sh").lacks() == ""
    assert of_others("no-such-program").lacks() == (
        "no-such-program is not on the PATH; https://example.com/ says where to get it."
    )


@pytest.mark.parametrize(
    ("script", "said"),
    [("echo no such setting; exit 3", "ended with 3:\nno such setting"), ("exit 0", "with 0:")],
)
def test_a_program_that_does_not_start_is_reported_with_what_it_said(
    script: str, said: str, tmp_path: Path
) -> None:
    async def start() -> None:
        system = of_others("sh", "-c", script)
        async with started(system, url=URL, exchange=EXCHANGE, directory=tmp_path):
            pass

    with pytest.raises(SystemExit, match=said):
        asyncio.run(start())


def test_the_report_has_a_row_of_each_system_in_both_tables() -> None:
    done = Slice(
        events=10,
        cpu_us=104.0,
        acknowledged_rate=900.0,
        delivered_rate=800.0,
        resident_bytes=70_000_000,
        latency_ms={"50": 1.25, "99": 7.5},
    )
    each_round = {system.name: done for system in SYSTEMS}
    found = Found(
        about={"date": "2026-11-28"},
        left_out=["a sentence"],
        speed=Speed(broker="", fastest=[each_round], at_rate={200.0: [each_round]}),
        outages={
            system.name: Outcome(
                sent=3_000,
                answered=1_500,
                lost=1_575,
                twice=2_006,
                out_of_order=1_516,
                statuses={"0": 1_500, "200": 1_500},
                away_s=10.25,
            )
            for system in SYSTEMS
        },
    )

    text = markdown(found, SYSTEMS, Outage())

    for system in SYSTEMS:
        costs, outage = [line for line in text.splitlines() if f"| {system.what} |" in line]
        assert "104 (104 to 104) | 1.00 (1.00 to 1.00) |" in costs
        assert costs.endswith("| 800 (800 to 800) | 70 | 1.2, 7.5 |")
        assert (
            "| 10.2 | 3,000 | 1,500 (50%) | 1,575 | 2,006 | 1,516 | none: 1,500, 200: 1,500 |"
            in outage
        )
    assert "for 30 s, RabbitMQ killed for 10 of them" in text
    assert text.endswith("- date: 2026-11-28\n\n- left out: a sentence\n")
