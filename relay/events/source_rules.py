"""What a source's settings change of its messages: what is redacted, goes along, or is left out.

Pure. A source that sets none of it has no rules, and its events take none of these steps.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from relay.events import ignored_types, request_headers
from relay.events.event import NormalizedEvent, NotUnderstood
from relay.events.personal_data import Redactor
from relay.events.redaction_rules import Redaction


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRules:
    """The settings `redact`, `headers` and `ignore` of a source, where there is at least one.

    Args:
        redaction: of personal data.
        headers: names of request headers, in lower case.
        ignored: what matches the types that are not published.
    """

    redaction: Redaction | None = None
    headers: tuple[str, ...] = ()
    ignored: re.Pattern[str] | None = None


class DeliveryRules:
    """The rules of a source as they apply to one delivery.

    Args:
        rules: of its source.
        headers: of the request.
        secrets: the live ones; a header with one of them does not go along.
        is_again: whether it was redacted before; see Redactor.
    """

    def __init__(
        self,
        rules: SourceRules,
        headers: Mapping[str, str],
        secrets: Sequence[str],
        *,
        is_again: bool = False,
    ) -> None:
        self.is_unredacted = False
        self._ignored = rules.ignored
        self._redactor = Redactor(rules.redaction, is_again=is_again) if rules.redaction else None
        self._headers = request_headers.chosen(headers, rules.headers, secrets)

    def learn(self, elements: Iterable[NormalizedEvent | NotUnderstood]) -> None:
        """Take note of the elements of the delivery, before any of them is encoded."""
        if self._redactor:
            self._redactor.learn(elements)

    def is_ignored(self, event: NormalizedEvent) -> bool:
        """Return whether an event is not to be published."""
        ignored = self._ignored
        return bool(ignored and ignored_types.is_ignored(ignored, event.type, event.detail))

    def event(self, event: NormalizedEvent) -> NormalizedEvent:
        """Return the event as it may be published.

        Raises:
            ValueError, RecursionError: it can't be redacted.
        """
        return self._redactor.event(event) if self._redactor else event

    def message_headers(self) -> dict[str, str]:
        """Return the request's headers that go along, as headers of a message."""
        return self._without_values(self._headers)

    def quarantined(
        self, body: bytes, headers: Mapping[str, str]
    ) -> tuple[bytes, dict[str, str], dict[str, str]]:
        """Return what was not understood as it may be kept.

        What is no JSON can't be redacted. It is kept all the same: nothing is dropped.

        Args:
            body: a delivery, or an element of one.
            headers: of the request, without secrets.

        Returns:
            The body, the headers, and headers for the message: of the request, and `redacted` if
            the body is.
        """
        redacted = self._redactor.body(body) if self._redactor else None
        if redacted is None:
            self.is_unredacted = self._redactor is not None
            return body, self._without_values(headers), self.message_headers()
        more = self.message_headers() | {"redacted": "true"}
        return redacted, self._without_values(headers), more

    def _without_values(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers that have none of the values to be redacted."""
        return self._redactor.without_values(headers) if self._redactor else dict(headers)
