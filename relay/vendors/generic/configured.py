"""A sender made out of settings: what the relay takes for a vendor. Pure."""

from dataclasses import dataclass
from typing import ClassVar

from relay.events.event import NormalizedEvent
from relay.vendors.generic.challenges import Challenge
from relay.vendors.generic.questions import question
from relay.vendors.generic.received import EventRule
from relay.vendors.generic.tokens import TokenRule
from relay.vendors.generic.verify import Rule
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Answer, OutgoingRequest, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredSender:
    """A vendor whose rules are values. It can be pickled, so that a subprocess may have it.

    Args:
        rule: how it proves who it is; None where everyone is let in.
        challenge: what it asks.
        event: what its events say.
    """

    TYPES: ClassVar[frozenset[str]] = frozenset({"received"})
    SIGNS_TIME: ClassVar[bool] = True

    rule: Rule | None
    challenge: Challenge
    event: EventRule

    @property
    def ASKS(self) -> tuple[str, ...]:  # noqa: N802  what any vendor calls it
        """The methods in which it asks."""
        return self.challenge.methods

    def authenticate(self, request: Request, secrets: Secrets) -> Answer | None:
        """Raise Unauthenticated unless the sender has proved who it is; answer what it asks."""
        challenge = self.challenge
        is_asking = challenge.kind != "none"
        if is_asking and (unsigned := challenge.answer_unsigned(request)):
            return unsigned
        secret = self.rule.verify(request, secrets) if self.rule and secrets.values else ""
        if not is_asking:
            return None
        if secret:
            challenge.refuse_digested_token(request.body)
        return challenge.answer_signed(request, secret)

    def answer(self, request: Request, secrets: Secrets) -> Answer | None:
        """Return the answer to a question by GET, HEAD or OPTIONS; None if it is none."""
        return self.challenge.answer(request, secrets, self.rule)

    def normalize(self, request: Request) -> list[NormalizedEvent]:
        """Return the one event; none for an empty test call.

        Raises:
            Malformed: the body is neither JSON nor a form.
        """
        return self.event.events(request, self.rule if isinstance(self.rule, TokenRule) else None)

    def sign(self, body: bytes, secret: str, now: float = 0.0) -> OutgoingRequest:
        """Return body as the sender would send it.

        Args:
            body: JSON, or a form.
            secret: to sign with.
            now: seconds since 1970; some sign the time, too.

        Raises:
            ValueError: it signs with a private key, which only it has.
        """
        is_json = body.lstrip()[:1] in (b"{", b"[", b"")
        kind = "application/json" if is_json else "application/x-www-form-urlencoded"
        return self._signed(OutgoingRequest(body=body, headers={"Content-Type": kind}), secret, now)

    def handshake(self, secret: str, now: float = 0.0) -> OutgoingRequest | None:
        """Return the question that the sender asks; None if it asks nothing.

        Raises:
            ValueError: as `sign`.
        """
        return question(self.challenge, secret, lambda request: self._signed(request, secret, now))

    def _signed(self, request: OutgoingRequest, secret: str, now: float) -> OutgoingRequest:
        return self.rule.sign(request, secret, now) if self.rule and secret else request
