"""A thread that works in order, and that ends even if what it does blocks."""

import asyncio
import threading

import pytest
from structlog.testing import capture_logs

from relay.process.owned_thread import OwnedThread
from tests.support.eventually import eventually


async def test_calls_run_in_the_order_they_were_made() -> None:
    thread, order = OwnedThread("seen"), list[int]()

    calls = [thread.do(lambda number=number: order.append(number)) for number in range(20)]
    await asyncio.gather(*calls)
    thread.do_later(lambda: order.append(20))
    await thread.close(lambda: order.append(21))

    assert order == list(range(22))


async def test_a_call_that_blocks_does_not_keep_the_thread_from_closing() -> None:
    thread, is_over = OwnedThread("seen"), threading.Event()
    blocked = asyncio.create_task(thread.do(is_over.wait))
    waiting = asyncio.create_task(thread.do(lambda: "behind it"))
    await asyncio.sleep(0)

    with capture_logs() as logs:
        await thread.close(lambda: None, limit_s=0.05)

    assert logs == [{"event": "thread blocked", "log_level": "warning", "thread": "seen"}]
    with pytest.raises(asyncio.CancelledError):
        await waiting
    is_over.set()
    assert await blocked is True


async def test_what_is_repeated_is_done_again_until_the_end() -> None:
    thread, times, is_done = OwnedThread("seen"), list[int](), asyncio.Event()
    loop = asyncio.get_running_loop()

    def work() -> float:
        times.append(threading.get_ident())
        if len(times) == 3:
            loop.call_soon_threadsafe(is_done.set)
        return 0.0 if len(times) < 3 else 1000.0

    thread.repeat(work, after_s=0)
    await is_done.wait()
    await thread.close(lambda: None)

    assert len(times) == 3
    assert len(set(times)) == 1
    assert times[0] != threading.get_ident()


async def test_after_the_end_nothing_runs_later() -> None:
    thread, ran = OwnedThread("seen"), list[int]()

    await thread.close(lambda: None)
    thread.do_later(lambda: ran.append(1))

    assert ran == []


async def test_a_call_is_waited_for_only_so_long_and_then_left_alone() -> None:
    thread, may_go, done = OwnedThread("orphan"), threading.Event(), list[str]()

    def block() -> None:
        may_go.wait()
        done.append("blocked")

    with pytest.raises(TimeoutError):
        await thread.do_within(0.05, block)
    with pytest.raises(TimeoutError):  # it had not begun: it never will
        await thread.do_within(0.05, lambda: done.append("behind it"))
    assert thread.is_blocked
    await thread.end(lambda: done.append("last"), limit_s=0.05)
    assert done == []

    may_go.set()
    await eventually(lambda: done == ["blocked", "last"])
    assert not thread.is_blocked


async def test_a_call_in_time_returns_its_result_or_raises() -> None:
    thread = OwnedThread("orphan")

    assert await thread.do_within(10, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await thread.do_within(10, lambda: 1 / 0)
    assert not thread.is_blocked
    await thread.end(lambda: None, limit_s=10)
