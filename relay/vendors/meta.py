"""Meta webhooks: WhatsApp Cloud API, Messenger and Instagram messaging.

https://developers.facebook.com/docs/graph-api/webhooks/getting-started
https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks
https://developers.facebook.com/documentation/instagram-platform/webhooks/examples

`X-Hub-Signature-256` is the hex HMAC-SHA256 of the body under the app secret. Saving the URL makes
a GET with the verify token, which wants to read `hub.challenge`. One POST holds several entries,
each with several events.
"""

from collections.abc import Mapping
from typing import Any

from relay.errors import Malformed
from relay.events.event import Data, Identity, NormalizedEvent, NotUnderstood
from relay.events.timestamps import from_epoch_ms
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import (
    Secrets,
    require_secret,
    require_signature_by,
    signature_of,
)
from relay.vendors.kit.batches import understand_each
from relay.vendors.kit.fields import (
    actor,
    attachment,
    contact,
    detail_of,
    identifier,
    mapping,
    message_kind,
    sequence,
    text,
    variables,
    without_empty,
)
from relay.vendors.kit.request import Answer, OutgoingRequest, Request
from relay.vendors.kit.setup import Setup
from relay.vendors.parts import meta_whatsapp
from relay.vendors.parts.meta_elements import (
    MESSAGING,
    ElementContext,
    PlacedElement,
    elements_of,
)

SETUP = Setup(
    enter="App Dashboard, Webhooks: the URL, the verify token, and each product's fields; copy "
    "the App Secret.",
    is_copied=True,
    has_verify_token=True,
)
SIGNATURE = "x-hub-signature-256"
ASKS = ("GET",)
TYPES = meta_whatsapp.TYPES
FIELDS = (
    *meta_whatsapp.FIELDS,
    *("/message/is_unsupported", "/message/attachments/*/payload/attachment_id"),
)

_MAX_CHALLENGE_CHARACTERS = 1024
_CHANNELS = {"page": "messenger", "instagram": "instagram"}
# The apps of Meta's own inboxes, where a person writes.
# https://developers.facebook.com/docs/messenger-platform/handover-protocol
_INBOX_APPS = {"263902037430900", "1217981644879628"}
_KNOWN = ("message", "postback", "reaction", "message_edit", "delivery", "read")
_ADDRESSES = {"sender", "recipient", "timestamp", "source"}


def authenticate(request: Request, secrets: Secrets) -> None:
    """Raise Unauthenticated unless the body was signed with a live app secret."""
    require_signature_by(_header_of, request.headers.get(SIGNATURE), request.body, secrets)


def answer(request: Request, secrets: Secrets) -> Answer | None:
    """Return the challenge to a GET whose verify token is live; None for any other question.

    Raises:
        Unauthenticated: the verify token is no live secret.
    """
    if request.method != "GET" or "subscribe" not in request.query("hub.mode"):
        return None
    require_secret(request.query("hub.verify_token"), secrets)
    challenge = next(iter(request.query("hub.challenge")), "")
    if not 0 < len(challenge) <= _MAX_CHALLENGE_CHARACTERS:
        return None
    return Answer(body=challenge.encode(errors="replace"))


def normalize(request: Request) -> list[NormalizedEvent | NotUnderstood]:
    """Return one event per message, status or change; none for an empty call.

    An element may also come alone, as the quarantine keeps one that was not understood.

    Raises:
        Malformed: `not_json`, `too_deep`, `unknown_shape` or `too_many_events`, where that is so
            of all elements.
    """
    body = raw_json.strip_bom(request.body)
    if not body:
        return []
    return understand_each(elements_of(body), _normalized)


def sign(body: bytes, secret: str) -> OutgoingRequest:
    """Return the delivery of body with the signature of its bytes."""
    headers = {"Content-Type": "application/json", SIGNATURE: _header_of(body, secret)}
    return OutgoingRequest(body=body, headers=headers)


def _header_of(message: bytes, secret: str) -> str:
    return f"sha256={signature_of(message, secret)}"


def _normalized(found: PlacedElement, raw: bytes) -> NormalizedEvent:
    context, element = found.context, found.value
    if type(element) is not dict:
        raise Malformed("unknown_shape")
    account = without_empty(id=context.account_id)
    if context.kind in meta_whatsapp.LISTS:
        return meta_whatsapp.normalized(context.kind, element, raw, context.value, account)
    if context.kind in MESSAGING:
        return _messaging(element, raw, context, account)
    field = text(element.get("field"))
    if field is None:
        raise Malformed("unknown_shape")
    return NormalizedEvent(
        type="unrecognized",
        detail=field,
        vendortype=field,
        data=without_empty(account=account),
        raw=raw,
        identity="delivery",  # it has no id, and no clock of its own
    )


def _messaging(
    element: Mapping[str, Any], raw: bytes, context: ElementContext, account: Data
) -> NormalizedEvent:
    others = [name for name in element if name and name not in _ADDRESSES]
    if not others:
        raise Malformed("unknown_shape")
    name = next((name for name in _KNOWN if name in element), others[0])
    content = mapping(element.get(name))
    sender = identifier(mapping(element.get("sender")).get("id"))
    recipient = identifier(mapping(element.get("recipient")).get("id"))
    is_ours = content.get("is_echo") is True or (sender and sender == context.account_id)
    person = recipient if is_ours else sender
    who = _sender_of(content) if is_ours else actor("contact", person)
    data = without_empty(
        contact=contact(person),
        account=account,
        channel=without_empty(type=_CHANNELS.get(context.object_type or "")),
        actor=who,
    )
    event_type, specific = _content(name, content)
    return NormalizedEvent(
        type=event_type,
        detail=detail_of(event_type, name, specific),
        vendortype=name,
        time=from_epoch_ms(element.get("timestamp")),
        data=data | specific,
        raw=raw,
        identity=_identity(name, content, element),
    )


def _sender_of(content: Mapping[str, Any]) -> Data:
    """Return who wrote for the business: an app, unless it is the inbox of a person."""
    app_id = identifier(content.get("app_id"))
    return actor("bot", app_id) if app_id and app_id not in _INBOX_APPS else actor("agent")


def _content(name: str, content: Mapping[str, Any]) -> tuple[str, Data]:
    message_id, status = identifier(content.get("mid")), None
    match name:
        case "message" if content.get("is_deleted") is True:
            event_type, message, status = "message.updated", {}, "deleted"
        case "message":
            event_type, message = "message.created", _message(content)
        case "postback":
            event_type, message = "message.created", {"kind": name}
            message |= _choice(content.get("title"), content.get("payload"))
        case "reaction":  # `mid` is the message reacted to; the reaction has no id of its own
            event_type, message, message_id = "message.created", {"kind": name}, None
            if content.get("action") != "unreact":
                message |= _choice(content.get("emoji") or content.get("reaction"), None)
        case "message_edit":
            event_type, message = "message.updated", _choice(content.get("text"), None)
        case "delivery" | "read":  # without an id, all messages up to `watermark` are meant
            event_type, message, status = "message.status_changed", {}, name
            mids = sequence(content.get("mids"))
            message_id = identifier(mids[0]) if len(mids) == 1 else message_id
        case _:
            return "unrecognized", {}
    message = without_empty(id=message_id) | message
    return event_type, without_empty(message=message, status=status)


def _message(content: Mapping[str, Any]) -> Data:
    files = list(map(mapping, sequence(content.get("attachments"))))
    kind = "text" if text(content.get("text")) else None
    if not kind and files:
        kind = message_kind(files[0].get("type"))
    return without_empty(
        id=identifier(content.get("mid")),
        kind=kind or ("unsupported" if content.get("is_unsupported") is True else "unknown"),
        attachments=list(filter(None, map(_attachment, files))),
    ) | _choice(content.get("text"), mapping(content.get("quick_reply")).get("payload"))


def _choice(said: object, payload: object) -> Data:
    return without_empty(text=text(said), variables=variables({"payload": payload}))


def _attachment(file: Mapping[str, Any]) -> Data:
    payload = mapping(file.get("payload"))
    return attachment(
        url=payload.get("url") or file.get("url"), attachment_id=payload.get("attachment_id")
    )


def _identity(name: str, content: Mapping[str, Any], element: Mapping[str, Any]) -> Identity:
    """Return what tells an occurrence apart: its id, else the element if it has its milliseconds.

    An `id` of a message is the same in all that is said of it later, so that is named, too.
    """
    message_id = identifier(content.get("mid"))
    has_clock = type(element.get("timestamp")) is int
    if message_id and name == "message":
        return ("deleted" if content.get("is_deleted") is True else name), message_id
    if message_id and name == "postback":
        return name, message_id
    return "element" if has_clock else "delivery"
