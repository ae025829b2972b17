"""Deliveries, broker, disk, clock and kills in any order, and what must be true after each."""

import logging
import shutil
import tempfile
from pathlib import Path
from typing import TypeVar
from unittest import mock

import structlog
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from relay.configured import sources_of
from relay.events.topology import quarantine_exchange
from relay.ingress.processing import process_delivery
from relay.outbox import outside
from relay.settings import load
from relay.vendors.kit.request import Request
from tests.model.account import Account, Stored, stored_in
from tests.model.peer import Peer
from tests.model.receiver import ModelDelivery, Receiver
from tests.model.virtual_time import VirtualLoop

_TOKEN = "t" * 32
_SETTINGS = f"""
[broker]
urls = ["amqp://peer/"]
[sources.shop]
vendor = "swiftsell"
secrets = ["{_TOKEN}"]
ignore = ["unrecognized.z"]
"""
_KEYS = [f"swiftsell.unrecognized.{kind}" for kind in "abc"]
_BIG_BYTES = 3000
_HEAL_STEPS = 400
T = TypeVar("T")

keys = st.sampled_from(_KEYS)
elements = st.sampled_from(["a", "b", "c", "again", "z", "odd", "big", "poison"])
turns = st.integers(0, 40)  # 0: all of them


class RelayMachine(RuleBasedStateMachine):
    """The relay between a delivery and the broker."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="model-"))
        (self.root / "relay.toml").write_text(_SETTINGS)
        settings = load(self.root / "relay.toml")
        self.source = sources_of(settings)["shop"]
        self.exchange = settings.broker.exchange
        self.account = Account(quarantine_exchange(self.exchange), self.stored)
        self.peer = Peer(self.account)
        self.loop = VirtualLoop(self.peer.connect)
        self.loop.set_exception_handler(self._note_error)
        self.clock = mock.patch("time.time", self._wall_time)
        self.clock.start()
        self.receiver = Receiver(self.loop, self.root, settings)
        self.count = 0
        self.process = 0
        structlog.configure(processors=[_drop])
        logging.disable()
        self.receiver.start()

    def _wall_time(self) -> float:
        return self.loop.now + 1.7e9

    def _note_error(self, _: object, context: dict[str, object]) -> None:
        """Nothing may fail where nobody hears of it."""
        self.account.faults.append(str(context))

    @initialize(is_holding=st.booleans(), is_refused=st.booleans())
    def begin(self, *, is_holding: bool, is_refused: bool) -> None:
        self.peer.is_holding = is_holding
        self.treat_odd_ones(is_refused=is_refused)

    # Senders.

    @rule(
        kinds=st.lists(st.lists(elements, min_size=1, max_size=4), min_size=1, max_size=3),
        turns=turns,
    )
    def deliver(self, kinds: list[list[str]], turns: int) -> None:
        """Some deliveries at once, each with some elements."""
        deliveries = [made for each in kinds if (made := self._delivery(each))]
        if deliveries:
            self.loop.do(lambda: self.receiver.outbox.append_all(deliveries), turns)

    @rule(kind=st.sampled_from("abc"), count=st.integers(1, 12), turns=turns)
    def deliver_many(self, kind: str, count: int, turns: int) -> None:
        """More deliveries than may be in flight, of the same key."""
        self.deliver([[kind]] * count, turns)

    def _delivery(self, kinds: list[str]) -> ModelDelivery | None:
        texts: list[str] = []
        for kind in kinds:
            self.count += 1
            texts.append(texts[-1] if kind == "again" and texts else self._element(kind))
        body = f'{{"events":[{",".join(texts)}]}}'.encode()
        request = Request(body=body, headers={"authorization": _TOKEN})
        found = process_delivery(request, self.source, self.loop.now, f"delivery-{self.count}")
        ids = [message.id for message in found.messages]
        for message in found.messages:
            is_odd = b"poison" in message.body or len(message.body) > _BIG_BYTES
            self.account.note_appended([message], is_odd=is_odd)
        process = self.process

        def done(error: Exception | None) -> None:
            if process == self.process and not error:
                self.account.accepted.update(ids)

        if any(message.routing_key.endswith(".z") for message in found.messages):
            self.account.faults.append("what is ignored was published")
        self.account.accepted.update(found.ignored)
        self.account.ignored.update(found.ignored)
        return ModelDelivery(found.messages, done) if ids else None

    def _element(self, kind: str) -> str:
        match kind:
            case "odd":
                return f"{self.count}"
            case "big" | "poison":
                rest = "x" * _BIG_BYTES if kind == "big" else "poison"
                return f'{{"event":{{"type":"a","n":{self.count},"rest":"{rest}"}}}}'
            case _:
                kind = "a" if kind == "again" else kind
                return f'{{"event":{{"type":"{kind}","n":{self.count}}}}}'

    # The broker.

    @rule(is_holding=st.booleans(), takes=st.booleans())
    def answer_at_once_or_not(self, *, is_holding: bool, takes: bool) -> None:
        self.peer.is_holding, self.peer.takes_unsettled = is_holding, takes

    @precondition(lambda self: self.peer.waiting())
    @rule(
        which=st.integers(0, 3),
        place=st.integers(0, 6),
        is_multiple=st.booleans(),
        is_nack=st.booleans(),
        turns=turns,
    )
    def answer(
        self, *, which: int, place: int, is_multiple: bool, is_nack: bool, turns: int
    ) -> None:
        channel = _chosen(self.peer.waiting(), which)
        tag = _chosen(list(channel.unsettled), place)
        self.loop.do(
            lambda: self.peer.answer(channel, tag, is_multiple=is_multiple, is_nack=is_nack), turns
        )

    @precondition(lambda self: self.peer.waiting())
    @rule(turns=turns)
    def answer_all(self, turns: int) -> None:
        def answer() -> None:
            for channel in self.peer.waiting():
                for tag in list(channel.unsettled):
                    self.peer.answer(channel, tag)

        self.loop.do(answer, turns)

    @rule(key=keys, how=st.sampled_from(["taken", "forbidden", "nacked", "unroutable"]))
    def treat_key(self, key: str, how: str) -> None:
        """Take, refuse, nack or return the messages with a routing key from now on."""
        for treated in (self.peer.forbidden, self.peer.nacked, self.peer.unroutable):
            treated.discard(key)
        if how != "taken":
            getattr(self.peer, how).add(key)
        if how == "forbidden":
            self.account.note_disturbed(key)

    @rule(is_quarantine=st.booleans(), keeps_missing=st.booleans())
    def delete_exchange(self, *, is_quarantine: bool, keeps_missing: bool) -> None:
        name = quarantine_exchange(self.exchange) if is_quarantine else self.exchange
        self.peer.missing.add(name)
        self.peer.keeps_missing = keeps_missing
        self.account.note_disturbed("")

    @precondition(lambda self: self.peer.missing)
    @rule()
    def create_exchanges(self) -> None:
        self.peer.missing.clear()

    @rule(is_refused=st.booleans())
    def treat_odd_ones(self, *, is_refused: bool) -> None:
        """Take or refuse what is large, and what is refused without a word about it."""
        self.peer.max_bytes = _BIG_BYTES if is_refused else 1 << 20
        self.peer.poison = b"poison" if is_refused else b""

    @rule(taken=st.integers(0, 8), is_up=st.booleans(), turns=turns)
    def cut(self, *, taken: int, is_up: bool, turns: int) -> None:
        """Cut the connections. Of what is in flight, the first ones were taken."""
        self.peer.is_up = is_up
        self.loop.do(lambda: self.peer.cut(taken), turns)

    @rule(is_blocked=st.booleans())
    def block(self, *, is_blocked: bool) -> None:
        self.loop.do(lambda: self.peer.block(is_blocked=is_blocked))

    # The disk.

    @rule(state=st.sampled_from(["BEGIN", "COMMIT", "DELETE", "fails", "well", "well"]))
    def treat_disk(self, state: str) -> None:
        """Let it hang before a statement, fail, or be well again."""
        self.receiver.treat_disk(state)
        self.loop.settle()

    # The clock.

    @rule(seconds=st.sampled_from([0.03, 0.06, 0.6, 1.1, 3, 11, 35]))
    def wait(self, seconds: float) -> None:
        self.loop.advance(seconds)
        self._hear()

    # The process.

    @rule(taken=st.integers(0, 8), is_killed=st.booleans())
    def restart(self, *, taken: int, is_killed: bool) -> None:
        """In order; or as after SIGKILL, wherever the process and its thread are."""
        self._hear()
        is_up, self.peer.is_up = self.peer.is_up, False
        if is_killed or not self.receiver.is_disk_well:
            self.process += 1
            self.peer.cut(taken)
            self.receiver.kill()
        else:
            self.receiver.stop()
            self.process += 1
            self.peer.cut(taken)
        self._restart(is_up=is_up)

    def _restart(self, *, is_up: bool) -> None:
        self.account.note_restart(stored_in(self.receiver.path))
        self.peer.is_up = is_up
        self.receiver.start()

    # A person.

    @precondition(lambda self: self.receiver.is_disk_well)
    @rule(is_drop=st.booleans(), which=st.integers(0, 5))
    def retry_or_drop(self, *, is_drop: bool, which: int) -> None:
        """`relay outbox retry` or `drop`, of an event that is parked."""
        self.loop.settle()
        parked = outside.find_all(self.receiver.directory, is_parked=True, limit=100)
        if parked:
            chosen = [_chosen(parked, which).id]
            if is_drop:
                self.account.dropped.update(outside.drop(self.receiver.directory, chosen))
            else:
                outside.retry(self.receiver.directory, chosen)

    # What must be true.

    @invariant()
    def the_account_is_right(self) -> None:
        self._hear()
        self.account.check(self.stored())

    @precondition(lambda self: self.loop.is_settled and self.receiver.is_disk_well)
    @invariant()
    def the_relay_says_so(self) -> None:
        """What `/readyz` and `/metrics` say of outbox and confirms."""
        stored, said = self.stored(), self.receiver.stats()
        confirmed = self.receiver.metrics.confirmed._value.get()
        if (said.depth, said.parked.messages) != (len(stored.ids), len(stored.causes)):
            raise AssertionError(f"{said} is said of {stored}")
        if not self.account.heard_confirms <= confirmed <= self.account.sent_confirms:
            raise AssertionError(f"{confirmed} confirms are counted")

    def _hear(self) -> None:
        if self.loop.is_settled:
            self.account.note_heard()

    def stored(self) -> Stored:
        return stored_in(self.receiver.path)

    def teardown(self) -> None:
        try:
            if not self.account.faults:
                self._heal()
        finally:
            self.peer.is_up = False
            self.peer.cut(0)
            self.receiver.stop()
            self.loop.close()
            self.clock.stop()
            shutil.rmtree(self.root)
            structlog.reset_defaults()
            logging.disable(logging.NOTSET)

    def _heal(self) -> None:
        """Let all go well again: then nothing may be left."""
        self.receiver.treat_disk("well")
        self.peer.permit_all()
        self.peer.is_up, self.peer.is_holding, self.peer.keeps_missing = True, False, False
        self.loop.do(lambda: self.peer.block(is_blocked=False))
        if self.peer.waiting():
            self.answer_all(0)
        for _ in range(_HEAL_STEPS):
            left = self.stored()
            self.the_account_is_right()
            if not left.ids and self.receiver.forwarder.is_drained:
                return
            self.loop.advance(3)
        raise AssertionError(f"after all was well for long, {left} was still there")


def _chosen(choices: list[T], number: int) -> T:
    return choices[min(number, len(choices) - 1)]


def _drop(*_: object) -> dict[str, object]:
    raise structlog.DropEvent
