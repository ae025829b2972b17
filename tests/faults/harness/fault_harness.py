"""All that a scenario needs: broker, relay, load, recorder and checker, each of them real."""

import asyncio
import contextlib
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.faults.harness import invariant, load, recorder
from tests.faults.harness.child import Child
from tests.faults.harness.invariant import Verdict
from tests.faults.harness.journal import ACCEPTED, Arrival, Delivery, Kept, Tail, Window
from tests.faults.harness.queues import MAX_LENGTH, Queues
from tests.faults.harness.receiver import Receiver
from tests.faults.scenarios.scenario import Scenario, Size
from tests.support.eventually import eventually
from tests.support.relay_process import SECRET
from tests.support.servers.edge_proxies import HAProxy
from tests.support.servers.proxy import Proxy

_CALM = 60  # acknowledgements between two faults, at least: their order is checked
_MAX_ROUNDS_FACTOR = 4  # times the rounds asked for, even if nothing is accepted during a fault


Entered = TypeVar("Entered")


class FaultHarness:
    """What a scenario acts on. Open it, play, then ask for the verdict.

    Args:
        directory: for journals, logs and the outbox.
        node: the broker; the scenario may mistreat it.
        scenario, size: what is played.
    """

    def __init__(self, directory: Path, node: Any, scenario: Scenario, size: Size) -> None:
        self.directory = directory
        self.broker = node
        self.scenario = scenario
        self.size = size
        self.random = random.Random(size.seed)  # noqa: S311  reproducible, not secret
        self.exchange = f"faults-{scenario.name}"
        self.queues = Queues(lambda: node.url, self.exchange, scenario.queue_arguments)
        self.environment: dict[str, str] = {}
        self.stderr: int | None = None  # a file's descriptor, for a relay that has no log file
        self.settings = {name: dict(values) for name, values in scenario.settings.items()}
        self.windows: list[Window] = []
        self.salvaged: list[Kept] = []  # of outboxes that were set aside
        self.acknowledged = 0
        self.rounds = 0
        self.shim: Any = None  # that of a scenario which prepares one
        self.consumer: Any = None  # likewise
        self.log_pipe: Any = None  # likewise
        self.second_proxy: Any = None  # likewise
        self.extra_queues: list[str] = []
        self._deliveries = Tail(directory / "deliveries.jsonl", Delivery)
        self._arrivals = Tail(directory / "arrivals.jsonl", Arrival)
        self._arrived: set[str] = set()
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            await self._open()
        except BaseException as error:
            await self._stack.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def _open(self) -> None:
        await self.queues.declare()
        self._stack.push_async_callback(self.queues.delete, self.extra_queues)
        self.relay_urls = self.broker_urls
        if self.scenario.through_proxy:
            self.proxy = await self._stack.enter_async_context(Proxy(self.broker.url))
            self.relay_urls = [self.proxy.url]
        if self.scenario.prepare:
            await self.scenario.prepare(self)
        self.relays = [
            await self._stack.enter_async_context(self._receiver(f"relay-{number}"))
            for number in range(self.scenario.receivers)
        ]
        self.relay = self.relays[0]
        self.recorder = await self._stack.enter_async_context(self._recorder())
        for relay in self.relays:
            await eventually(relay.is_connected)
        await self._start_load(await self._front())

    async def _front(self) -> int:
        """Return the port that deliveries go to."""
        if len(self.relays) == 1:
            return self.relay.port
        front = HAProxy(self.directory / "haproxy", self.relays)
        self.windows.append(Window("several receivers", -math.inf, math.inf))  # no order between
        return (await self._stack.enter_async_context(front)).port

    @property
    def broker_urls(self) -> list[str]:
        urls: list[str] = getattr(self.broker, "urls", None) or [self.broker.url]
        return urls

    def _receiver(self, name: str) -> Receiver:
        settings = dict(self.settings)
        settings["broker"] = {
            "urls": self.relay_urls,
            "confirm_timeout_s": 2,
            "heartbeat_s": 2,
            "unrouted_max_length": MAX_LENGTH,
            "quarantine_max_length": MAX_LENGTH,
            **settings.get("broker", {}),
        }
        return Receiver(
            self.directory / name,
            broker_url="",
            exchange=self.exchange,
            environment=self.environment,
            stderr=self.stderr,
            **settings,
        )

    def _recorder(self) -> Child:
        options = recorder.Options(
            urls=self.broker_urls,
            journal=str(self.directory / "arrivals.jsonl"),
            queues=self.queues.labels,
        )
        return Child("tests.faults.harness.recorder", options, self.directory / "recorder.log")

    async def _start_load(self, port: int) -> None:
        options = load.Options(
            host="127.0.0.1",
            port=port,
            journal=str(self.directory / "deliveries.jsonl"),
            seed=self.size.seed,
            secret=SECRET,
            rate=self.size.rate,
            poison=self.scenario.poison,
        )
        child = Child("tests.faults.harness.load", options, self.directory / "load.log")
        self.load = await self._stack.enter_async_context(child)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, traceback)

    async def enter(self, context: AbstractAsyncContextManager[Entered]) -> Entered:
        """Enter a context that is left once the relay has stopped."""
        return await self._stack.enter_async_context(context)

    def on_exit(self, undo: Callable[[], Awaitable[object]]) -> None:
        """Have something undone once the relay has stopped."""
        self._stack.push_async_callback(undo)

    # What a scenario does.

    @contextlib.asynccontextmanager
    async def fault(self, name: str) -> AsyncIterator[None]:
        """Record that something is broken on purpose during the block."""
        began_at = monotonic()
        try:
            yield
        finally:
            self.windows.append(Window(name, began_at, monotonic()))

    def read(self) -> None:
        """Read what was added to the journals since the last call."""
        for delivery in self._deliveries.read():
            if delivery.status == ACCEPTED:
                self.acknowledged += len(delivery.ids)
        self._arrived.update([arrival.id for arrival in self._arrivals.read()])

    @property
    def delivered_ids(self) -> set[str]:
        """The ids of all events that came out of the broker, without quarantined deliveries."""
        self.read()
        return {
            arrival.id
            for arrival in self._arrivals.entries
            if arrival.queue != invariant.QUARANTINE
        }

    async def acknowledges(self, more: int) -> None:
        """Wait until so many more events are acknowledged."""
        self.read()
        wanted = self.acknowledged + more
        await self._wait_until(lambda: self.acknowledged >= wanted)

    async def answers(self, status: int) -> None:
        """Wait until a delivery is answered with that status; 0 stands for no answer."""
        self.read()
        seen = len(self._deliveries.entries)
        await self._wait_until(
            lambda: any(delivery.status == status for delivery in self._deliveries.entries[seen:])
        )

    async def delivers(self) -> None:
        """Wait until an event acknowledged from now on comes out of the broker."""
        self.read()
        seen = len(self._deliveries.entries)

        def has_come() -> bool:
            later = [
                delivery
                for delivery in self._deliveries.entries[seen:]
                if delivery.status == ACCEPTED
            ]
            return any(event_id in self._arrived for delivery in later for event_id in delivery.ids)

        await self._wait_until(has_come)

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        def holds() -> bool:
            self.read()
            return condition()

        await eventually(holds, self.size.settle_s)

    async def hold(self, seconds: float | None = None) -> None:
        """Let a fault last: its duration is the point, so there is no condition to wait for."""
        await asyncio.sleep(self.size.hold_s if seconds is None else seconds)

    async def play(self, progress: Callable[[int], None] = lambda _: None) -> Verdict:
        """Let the fault strike until there were enough rounds and events; return the verdict."""
        await self.acknowledges(_CALM)
        calm = max(_CALM, self.size.events // (_MAX_ROUNDS_FACTOR * self.size.rounds))
        while self.rounds < self.size.rounds or self.acknowledged < self.size.events:
            await self.scenario.strike(self)
            await self.delivers()
            await self.acknowledges(calm)
            self.rounds += 1
            progress(self.acknowledged)
        if self.scenario.recover:
            await self.scenario.recover(self)
        return await self._judge()

    async def _judge(self) -> Verdict:
        """End the load, wait until the relay and the queues are empty, and check the run.

        Wait for as long as anything arrives. An event that never does is no error here: the
        checker reports it.
        """
        await self.load.stop()
        arrived = -1
        while arrived < len(self._arrivals.entries):
            arrived = len(self._arrivals.entries)
            with contextlib.suppress(AssertionError):
                await eventually(self._has_settled, self.size.settle_s)
                break
        await self.recorder.stop()
        aftermath = self.scenario.aftermath
        consumer_mismatches = await aftermath(self) if aftermath else []
        for relay in self.relays:
            await relay.stop()
        self.read()
        kept = [*self.salvaged, *[kept for relay in self.relays for kept in relay.kept()]]
        return invariant.check(
            self._deliveries.entries,
            self._arrivals.entries,
            kept,
            self.windows,
            must_accept_all=self.scenario.must_accept_all,
            may_refuse_poison=self.is_confirming,
            wait_limit_s=self.scenario.wait_limit_s,
            consumer_mismatches=consumer_mismatches,
        )

    async def _has_settled(self) -> bool:
        self.read()
        known = {entry.id for entry in self.salvaged} | self._arrived
        deliveries = self._deliveries.entries
        return (
            all(
                name in known
                for delivery in deliveries
                if delivery.status == ACCEPTED
                for name in delivery.ids
            )
            and await self.is_relay_drained()
            and await self.queues.are_empty()
        )

    @property
    def is_confirming(self) -> bool:
        """Return whether the relay has nothing of what it acknowledges but the broker's confirm."""
        return bool(self.settings.get("ingress", {}).get("ack_after") == "confirm")

    async def is_relay_drained(self) -> bool:
        if self.is_confirming:
            return True  # it holds nothing that was acknowledged
        return all([await relay.is_drained() for relay in self.relays])
