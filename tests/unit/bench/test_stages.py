"""CPU by stage: which stage a stack belongs to, and how a thread's CPU is split."""

from tests.bench.measures import stages
from tests.support.rows import for_each_row

MAIN = "thread (11): MainThread;run (uvloop/__init__.py:92)"
WORKER = "thread (12): outbox;run (threading.py:982)"


@for_each_row(
    ("frames", "expected"),
    [
        (["run (uvloop/__init__.py:92)"], stages.LOOP),
        (["<module> (plain_relay.py:88)", "run (uvloop/__init__.py:92)"], stages.LOOP),
        (["_reply (relay/ingress/http_server.py:1)"], stages.HTTP),
        (["start (aiohttp/web_protocol.py:684)", "handle (plain_relay.py:54)"], stages.HTTP),
        (["f (relay/ingress/handler.py:1)", "g (relay/vendors/acquire.py:9)"], stages.UNDERSTAND),
        (["_left (relay/ingress/handler.py:1)", "msg (relay/observability/logs.py:9)"], stages.LOG),
        (["f (relay/outbox/outbox.py:1)", "insert (relay/outbox/database.py:9)"], stages.OUTBOX),
        (["forward (relay/forwarder.py:1)", "write (asyncio/streams.py:9)"], stages.PUBLISH),
        (["handle (plain_relay.py:54)", "publish (aio_pika/exchange.py:9)"], stages.PUBLISH),
    ],
)  # fmt: skip
def test_a_stack_counts_for_its_innermost_known_frame(frames: list[str], expected: str) -> None:
    assert stages.stage_of(frames) == expected


def test_samples_are_counted_by_thread_and_stage() -> None:
    lines = [
        f"{MAIN} 3",
        f"{MAIN};_reply (relay/ingress/http_server.py:1) 4",
        f"{MAIN};_reply (relay/ingress/http_server.py:9) 5",
        f"{WORKER};insert (relay/outbox/database.py:9) 6",
    ]

    found = stages.samples(lines)

    assert found == {11: {stages.LOOP: 3, stages.HTTP: 9}, 12: {stages.OUTBOX: 6}}


def test_the_kernel_says_how_much_and_the_samples_where() -> None:
    samples = stages.samples([f"{MAIN};_reply (relay/ingress/http_server.py:1) 1", f"{MAIN} 3"])

    found = stages.split(samples, {11: 40.0, 13: 2.0})

    assert found[stages.HTTP] == 10
    assert found[stages.LOOP] == 30 + 2  # a thread that was never seen
    assert sum(found.values()) == 42


def test_the_innermost_function_is_told_without_its_line() -> None:
    assert stages.function_of(f"{MAIN};insert (relay/outbox/database.py:9)") == (
        "insert (relay/outbox/database.py)"
    )
