"""What each sender sends, written from its documentation with nothing but the standard library.

So the rules of the relay are held against something that shares no line with them.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from relay.vendors.kit.request import Request
from tests.support.generic_sources import PUBLIC_URL

BODY = b'{"id":"evt_7","type":"order.paid","event":{"a":[1]},"text":"caf\xc3\xa9"}'
FORM = b"EventType=onMessageAdded&Body=Hi+there&ConversationSid=CH7&Body=twice"
NOW = 1_700_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """One sender.

    Args:
        secrets: two of them, as settings have them.
        headers: of a body, under the first or second secret, at a second.
        signature: the header that holds the signature; "" where nothing is signed.
        timestamp: the header that holds the time, or "".
        body: what it sends.
        content_type: of the body.
        options: that a preset can't know.
        query: of the URL.
        age_s: how old a request may be; 0 if that is not looked at.
    """

    secrets: tuple[str, str]
    headers: Callable[[bytes, int, int], dict[str, str]]
    signature: str = ""
    timestamp: str = ""
    body: bytes = BODY
    content_type: str = "application/json"
    options: dict[str, Any] = field(default_factory=dict)
    query: str = ""
    age_s: int = 0

    def request(self, number: int = 0, now: int = NOW) -> Request:
        """Return a request under the first secret or, with number 1, the second."""
        headers = {"content-type": self.content_type, **self.headers(self.body, number, now)}
        return Request(
            body=self.body, headers=headers, query_string=self.query, received_at=float(now)
        )


_SECRETS = ("0ld s3cret-\u00e9", "n3w s3cret/+=")
_ENCODED = tuple(f"whsec_{base64.b64encode(secret.encode()).decode()}" for secret in _SECRETS)


def _digest(text: bytes, number: int, algorithm: str = "sha256") -> bytes:
    return hmac.new(_SECRETS[number].encode(), text, algorithm).digest()


def _hex(text: bytes, number: int, algorithm: str = "sha256") -> str:
    return _digest(text, number, algorithm).hex()


def _base64(text: bytes, number: int, algorithm: str = "sha256") -> str:
    return base64.b64encode(_digest(text, number, algorithm)).decode()


def _of_body(
    header: str, form: str = "%s", *, is_hex: bool = True, algorithm: str = "sha256"
) -> Sender:
    encode = _hex if is_hex else _base64
    return Sender(
        secrets=_SECRETS,
        headers=lambda body, number, _: {header: form % encode(body, number, algorithm)},
        signature=header,
    )


def _in_one_header(header: str, time: str, version: str, joint: bytes, separator: str) -> Sender:
    def headers(body: bytes, number: int, now: int) -> dict[str, str]:
        signature = _hex(b"%d%b%b" % (now, joint, body), number)
        return {header: f"{time}={now}{separator}{version}={signature}"}

    return Sender(secrets=_SECRETS, headers=headers, signature=header, age_s=300)


def _beside_a_time(
    header: str,
    timestamp: str,
    signed: Callable[[str, bytes], bytes],
    form: str = "%s",
    *,
    is_hex: bool = True,
    write: Callable[[int], str] = str,
    age_s: int = 0,
    options: dict[str, Any] | None = None,
) -> Sender:
    encode = _hex if is_hex else _base64

    def headers(body: bytes, number: int, now: int) -> dict[str, str]:
        moment = write(now)
        return {header: form % encode(signed(moment, body), number), timestamp: moment}

    return Sender(
        secrets=_SECRETS,
        headers=headers,
        signature=header,
        timestamp=timestamp,
        age_s=age_s,
        options=options or {},
    )


def _digest_of_secret(before: bytes, options: dict[str, Any]) -> Sender:
    def headers(body: bytes, number: int, _: int) -> dict[str, str]:
        digest = hashlib.sha256(_SECRETS[number].encode() + before + body)
        return {"x-hubspot-signature": digest.hexdigest()}

    return Sender(
        secrets=_SECRETS, headers=headers, signature="x-hubspot-signature", options=options
    )


def _standard(prefix: str) -> Sender:
    def headers(body: bytes, number: int, now: int) -> dict[str, str]:
        key = base64.b64decode(_ENCODED[number].removeprefix("whsec_"))
        digest = hmac.new(key, b"msg_1.%d.%b" % (now, body), "sha256").digest()
        return {
            f"{prefix}-id": "msg_1",
            f"{prefix}-timestamp": str(now),
            f"{prefix}-signature": f"v1,{base64.b64encode(digest).decode()}",
        }

    return Sender(
        secrets=(_ENCODED[0], _ENCODED[1]),
        headers=headers,
        signature=f"{prefix}-signature",
        timestamp=f"{prefix}-timestamp",
        age_s=300,
    )


def _token(header: str) -> Sender:
    secrets = ("0ld-t0ken", "n3w-t0ken")
    return Sender(
        secrets=secrets, headers=lambda _, number, __: {header: secrets[number]}, signature=header
    )


def _ms(now: int) -> str:
    return f"{now}123"


def _iso(now: int) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache
def ed25519_keys() -> tuple[ed25519.Ed25519PrivateKey, ...]:
    """Return two private keys."""
    return tuple(ed25519.Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))


@lru_cache
def rsa_keys() -> tuple[rsa.RSAPrivateKey, ...]:
    """Return two private keys."""
    return tuple(rsa.generate_private_key(65_537, 2048) for _ in range(2))


def raw_hex(key: ed25519.Ed25519PrivateKey) -> str:
    """Return the public half, as Discord shows it."""
    return key.public_key().public_bytes_raw().hex()


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> str:
    """Return the public half."""
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def _discord() -> Sender:
    def headers(body: bytes, number: int, now: int) -> dict[str, str]:
        signature = ed25519_keys()[number].sign(b"%d%b" % (now, body)).hex()
        return {"x-signature-ed25519": signature, "x-signature-timestamp": str(now)}

    first, second = map(raw_hex, ed25519_keys())
    return Sender(
        secrets=(first, second),
        headers=headers,
        signature="x-signature-ed25519",
        timestamp="x-signature-timestamp",
    )


def _freshchat() -> Sender:
    def headers(body: bytes, number: int, _: int) -> dict[str, str]:
        signature = rsa_keys()[number].sign(body, padding.PKCS1v15(), hashes.SHA256())
        return {"x-freshchat-signature": base64.b64encode(signature).decode()}

    first, second = map(pem, rsa_keys())
    return Sender(secrets=(first, second), headers=headers, signature="x-freshchat-signature")


def _twilio() -> Sender:
    def headers(body: bytes, number: int, _: int) -> dict[str, str]:
        fields = sorted(set(parse_qsl(body.decode(), keep_blank_values=True)))
        signed = PUBLIC_URL + "?a=1" + "".join(name + value for name, value in fields)
        return {"x-twilio-signature": _base64(signed.encode(), number, "sha1")}

    return Sender(
        secrets=_SECRETS,
        headers=headers,
        signature="x-twilio-signature",
        body=FORM,
        content_type="application/x-www-form-urlencoded",
        options={"verify": {"public_url": f"{PUBLIC_URL}?a=1"}},
        query="a=1",
    )


def _in_body(body: bytes) -> Sender:
    secrets = ("0ld-t0ken", "n3w-t0ken")
    return Sender(secrets=secrets, headers=lambda *_: {}, body=body)


SENDERS: dict[str, Sender] = {
    "bitbucket": _of_body("x-hub-signature", "sha256=%s"),
    "chatwoot": _beside_a_time(
        "x-chatwoot-signature",
        "x-chatwoot-timestamp",
        lambda moment, body: moment.encode() + b"." + body,
        "sha256=%s",
    ),
    "cloudevents": Sender(
        secrets=("0ld-t0ken", "n3w-t0ken"),
        headers=lambda _, number, __: {
            "authorization": "Bearer " + ("0ld-t0ken", "n3w-t0ken")[number]
        },
        signature="authorization",
    ),
    "crisp": _beside_a_time(
        "x-crisp-signature",
        "x-crisp-request-timestamp",
        lambda moment, body: b"[" + moment.encode() + b";" + body + b"]",
        write=_ms,
    ),
    "discord": _discord(),
    "freshchat": _freshchat(),
    "front": _beside_a_time(
        "x-front-signature",
        "x-front-request-timestamp",
        lambda moment, body: moment.encode() + b":" + body,
        is_hex=False,
        write=_ms,
    ),
    "github": _of_body("x-hub-signature-256", "sha256=%s"),
    "gitlab": _token("x-gitlab-token"),
    "helpscout": _of_body("x-helpscout-signature", is_hex=False, algorithm="sha1"),
    "hubspot": _beside_a_time(
        "x-hubspot-signature-v3",
        "x-hubspot-request-timestamp",
        lambda moment, body: b"POST" + PUBLIC_URL.encode() + body + moment.encode(),
        is_hex=False,
        write=_ms,
        age_s=300,
        options={"verify": {"public_url": PUBLIC_URL}},
    ),
    "hubspot-v1": _digest_of_secret(b"", {}),
    "hubspot-v2": _digest_of_secret(
        b"POST" + PUBLIC_URL.encode(), {"verify": {"public_url": PUBLIC_URL}}
    ),
    "intercom": _of_body("x-hub-signature", "sha1=%s", algorithm="sha1"),
    "line": _of_body("x-line-signature", is_hex=False),
    "livechat": _in_body(b'{"action":"incoming_chat","secret_key":"0ld-t0ken"}'),
    "meta": _of_body("x-hub-signature-256", "sha256=%s"),
    "msgraph": _in_body(b'{"value":[{"clientState":"0ld-t0ken","changeType":"created"}]}'),
    "mux": _in_one_header("mux-signature", "t", "v1", b".", ","),
    "paddle": _in_one_header("paddle-signature", "ts", "h1", b":", ";"),
    "pagerduty": _of_body("x-pagerduty-signature", "v1=%s"),
    "razorpay": _of_body("x-razorpay-signature"),
    "rocketchat": _token("x-rocketchat-livechat-token"),
    "shopify": _of_body("x-shopify-hmac-sha256", is_hex=False),
    "slack": _beside_a_time(
        "x-slack-signature",
        "x-slack-request-timestamp",
        lambda moment, body: b"v0:" + moment.encode() + b":" + body,
        "v0=%s",
        age_s=300,
    ),
    "standard-webhooks": _standard("webhook"),
    "stripe": _in_one_header("stripe-signature", "t", "v1", b".", ","),
    "svix": _standard("svix"),
    "telegram": _token("x-telegram-bot-api-secret-token"),
    "twilio": _twilio(),
    "x": _of_body("x-twitter-webhooks-signature", "sha256=%s", is_hex=False),
    "zendesk": _beside_a_time(
        "x-zendesk-webhook-signature",
        "x-zendesk-webhook-signature-timestamp",
        lambda moment, body: moment.encode() + body,
        is_hex=False,
        write=_iso,
    ),
    "zoom": _beside_a_time(
        "x-zm-signature",
        "x-zm-request-timestamp",
        lambda moment, body: b"v0:" + moment.encode() + b":" + body,
        "v0=%s",
    ),
}
