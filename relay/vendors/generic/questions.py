"""What a sender asks, as it asks it: for `relay send --handshake`. Pure."""

from collections.abc import Callable
from dataclasses import replace

import orjson

from relay.vendors.generic.challenges import Challenge
from relay.vendors.kit.request import OutgoingRequest

_ASKED = "1158201444"
_JSON = {"Content-Type": "application/json"}

Sign = Callable[[OutgoingRequest], OutgoingRequest]
"""Adds the sender's signature, or its token."""


def question(challenge: Challenge, secret: str, sign: Sign) -> OutgoingRequest | None:
    """Return the question of a challenge; None if the sender asks nothing.

    Raises:
        ValueError: only the sender can sign it.
    """
    token = next(iter(challenge.tokens), "")
    unsigned = _unsigned(challenge.kind, token or secret)
    if unsigned:
        in_url = token if token and challenge.kind != "meta" else None
        return replace(unsigned, path_secret=in_url)
    match challenge.kind:
        case "okta":
            headers = {"X-Okta-Verification-Challenge": _ASKED}
            return sign(OutgoingRequest(body=b"", method="GET", headers=headers))
        case "cloudevents":
            headers = {"WebHook-Request-Origin": "relay.example", "WebHook-Request-Rate": "120"}
            return sign(OutgoingRequest(body=b"", method="OPTIONS", headers=headers))
    return _posted(challenge.kind, sign)


def _unsigned(kind: str, token: str) -> OutgoingRequest | None:
    """Return a question that nothing signs."""
    match kind:
        case "meta":
            query = {"hub.mode": "subscribe", "hub.verify_token": token, "hub.challenge": _ASKED}
            return OutgoingRequest(body=b"", method="GET", query=query, expects=_ASKED)
        case "crc":
            return OutgoingRequest(body=b"", method="GET", query={"crc_token": _ASKED})
        case "dropbox":
            query = {"challenge": _ASKED}
            return OutgoingRequest(body=b"", method="GET", query=query, expects=_ASKED)
        case "graph":
            return OutgoingRequest(body=b"", query={"validationToken": _ASKED}, expects=_ASKED)
        case "asana":
            return OutgoingRequest(body=b"", headers={"X-Hook-Secret": _ASKED})
    return None


def _posted(kind: str, sign: Sign) -> OutgoingRequest | None:
    """Return a question by POST that is signed as events are."""
    match kind:
        case "slack":
            body = {"type": "url_verification", "challenge": _ASKED}
            request = OutgoingRequest(body=orjson.dumps(body), headers=_JSON)
            return replace(sign(request), expects=_ASKED)
        case "zoom":
            document = {"event": "endpoint.url_validation", "payload": {"plainToken": _ASKED}}
            return sign(OutgoingRequest(body=orjson.dumps(document), headers=_JSON))
        case "discord":
            return sign(OutgoingRequest(body=b'{"type":1}', headers=_JSON))
        case "front":
            headers = {**_JSON, "X-Front-Challenge": _ASKED}
            return replace(sign(OutgoingRequest(body=b"{}", headers=headers)), expects=_ASKED)
    return None
