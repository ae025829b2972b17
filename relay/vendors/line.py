"""LINE Messaging API webhooks.

https://developers.line.biz/en/reference/messaging-api/#webhooks
https://developers.line.biz/en/docs/messaging-api/verify-webhook-signature/

`x-line-signature` is the base64 HMAC-SHA256 of the body under the channel secret. One POST holds
any number of events; none when somebody verifies the URL in the console. An event that is sent
again has the `webhookEventId` of the first time.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from relay.errors import Malformed
from relay.events.event import Data, Identity, NormalizedEvent, NotUnderstood
from relay.events.timestamps import from_epoch_ms
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import (
    Secrets,
    base64_signature_of,
    require_signature_by,
)
from relay.vendors.kit.batches import (
    Element,
    read_batch,
    read_element,
    understand_each,
)
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
    without_empty,
)
from relay.vendors.kit.request import OutgoingRequest, Request
from relay.vendors.kit.setup import Setup

SETUP = Setup(
    enter="Developers Console, Messaging API: the URL as Webhook URL, and switch on Use webhook; "
    "copy the Channel secret.",
    is_copied=True,
)
SIGNATURE = "x-line-signature"

_TYPES = {
    "message": "message.created",
    "postback": "message.created",
    "unsend": "message.updated",
    "follow": "conversation.created",
    "unfollow": "conversation.closed",
    "join": "conversation.joined",
    "leave": "conversation.left",
    "memberJoined": "conversation.joined",
    "memberLeft": "conversation.left",
}
TYPES = frozenset({*_TYPES.values(), "conversation.opened"})

FIELDS = ("/source/roomId", "/joined/members/*/userId")
_FILES = {"image", "video", "audio", "file"}


def authenticate(request: Request, secrets: Secrets) -> None:
    """Raise Unauthenticated unless the body was signed with a live channel secret."""
    signature = request.headers.get(SIGNATURE)
    require_signature_by(base64_signature_of, signature, request.body, secrets)


def normalize(request: Request) -> list[NormalizedEvent | NotUnderstood]:
    """Return one event per element of `events`; none for a verification or an empty call.

    An element may also come alone, as the quarantine keeps one that was not understood.

    Raises:
        Malformed: `not_json`, `too_deep`, `unknown_shape` or `too_many_events`, where that is so
            of all elements.
    """
    body = raw_json.strip_bom(request.body)
    if not body:
        return []
    destination, elements = _elements(body)
    return understand_each(elements, partial(_normalized, destination=destination))


def sign(body: bytes, secret: str) -> OutgoingRequest:
    """Return the delivery of body with the signature of its bytes."""
    headers = {"Content-Type": "application/json", SIGNATURE: base64_signature_of(body, secret)}
    return OutgoingRequest(body=body, headers=headers)


def handshake(secret: str) -> OutgoingRequest:
    """Return the call made by "Verify" in the console."""
    return sign(b'{"destination":"U00000000000000000000000000000000","events":[]}', secret)


def _elements(body: bytes) -> tuple[str | None, list[Element | NotUnderstood]]:
    """Return the account that a delivery was sent to, and its events."""
    document, texts = read_batch(body, "events")
    if "events" not in document and text(document.get("type")):
        return None, [read_element(body)]
    if document.get("events") != [0] * len(texts):
        raise Malformed("unknown_shape")
    return text(document.get("destination")), list(map(read_element, texts))


def _normalized(value: Any, raw: bytes, *, destination: str | None) -> NormalizedEvent:
    event = mapping(value)
    vendortype = text(event.get("type"))
    if vendortype is None:
        raise Malformed("unknown_shape")
    event_type = _TYPES.get(vendortype, "unrecognized")
    if vendortype == "follow" and mapping(event.get("follow")).get("isUnblocked") is True:
        event_type = "conversation.opened"
    data = _data(event, vendortype, destination)
    return NormalizedEvent(
        type=event_type,
        detail=detail_of(event_type, vendortype, data),
        vendortype=vendortype,
        time=from_epoch_ms(event.get("timestamp")),
        data=data,
        raw=raw,
        identity=_identity(event, vendortype),
    )


def _identity(event: Mapping[str, Any], vendortype: str) -> Identity:
    """Return the event's id: a redelivery has the same one, though its `deliveryContext` differs.

    Without it, nothing is sure to tell two events apart.
    """
    event_id = identifier(event.get("webhookEventId"))
    return (vendortype, event_id) if event_id else "delivery"


def _data(event: Mapping[str, Any], vendortype: str, destination: str | None) -> Data:
    source = mapping(event.get("source"))
    user_id = identifier(source.get("userId"))
    group_id = identifier(source.get("groupId")) or identifier(source.get("roomId"))
    data = without_empty(
        conversation=without_empty(id=group_id),
        contact=contact(user_id),
        account=without_empty(id=destination),
        channel=without_empty(type=text(source.get("type"))),
        actor=actor("contact", user_id) if user_id else {},
    )
    match vendortype:
        case "message":
            data["message"] = _message(mapping(event.get("message")))
        case "postback":
            data["message"] = _postback(mapping(event.get("postback")))
        case "unsend":
            message_id = identifier(mapping(event.get("unsend")).get("messageId"))
            data |= without_empty(message=without_empty(id=message_id), status="unsend")
        case "follow" | "unfollow":
            data["status"] = vendortype
        case "join" | "leave":
            data["member"] = actor("bot", destination)
        case "memberJoined":
            data |= _member(event.get("joined"))
        case "memberLeft":
            data |= _member(event.get("left"))
    return data


def _message(message: Mapping[str, Any]) -> Data:
    kind = message_kind(message.get("type")) or "unknown"
    files = [_attachment(message)] if kind in _FILES else []
    said = text(message.get("text"))
    if kind == "location":
        said = text(message.get("title")) or text(message.get("address"))
    return without_empty(
        id=identifier(message.get("id")),
        kind=kind,
        text=said,
        attachments=list(filter(None, files)),
    )


def _attachment(message: Mapping[str, Any]) -> Data:
    """Return a file: its URL where the sender keeps it, else the id under which LINE hands it out.

    https://developers.line.biz/en/reference/messaging-api/#get-content
    """
    provider = mapping(message.get("contentProvider"))
    return attachment(
        url=provider.get("originalContentUrl"),
        attachment_id=message.get("id"),
        file_name=message.get("fileName"),
        size_bytes=message.get("fileSize"),
    )


def _postback(postback: Mapping[str, Any]) -> Data:
    """Return what a button sent: `data`, and what was chosen from a picker or a menu."""
    values = {"data": postback.get("data"), **mapping(postback.get("params"))}
    variables = [
        {"name": name, "value": value}
        for name, value in values.items()
        if name and value is not None
    ]
    return without_empty(kind="postback", variables=variables)


def _member(changed: object) -> Data:
    """Return who joined or left; of several, only `raw` says who they are."""
    members = sequence(mapping(changed).get("members"))
    if len(members) != 1:
        return {}
    member_id = identifier(mapping(members[0]).get("userId"))
    return {"member": actor("contact", member_id)}
