"""WhatsApp Cloud API: the elements of a change of `messages` or `smb_message_echoes`.

https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages
https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/smb_message_echoes
"""

from collections.abc import Mapping
from typing import Any

from relay.errors import Malformed
from relay.events.event import Data, Identity, NormalizedEvent
from relay.events.timestamps import from_epoch_s
from relay.vendors.kit.fields import (
    actor,
    attachment,
    contact,
    identifier,
    mapping,
    message_kind,
    sequence,
    text,
    variables,
    without_empty,
)

LISTS = ("messages", "statuses", "message_echoes")
TYPES = frozenset({"message.created", "message.updated", "message.status_changed"})

_REPLIES = {
    "list_reply": ("id", "title", "description"),
    "nfm_reply": ("name", "body", "response_json"),
}
FIELDS = (  # that the code reads, or that are documented, and that no sample shows
    *("/recipient_type", "/recipient_participant_id", "/from_user_id", "/to_user_id"),
    *[f"/interactive/{reply}/{name}" for reply, names in _REPLIES.items() for name in names],
    *[f"/{kind}/{name}" for kind in ("audio", "video", "sticker") for name in ("id", "mime_type")],
    *("/button/text", "/button/payload", "/system/body", "/order/text", "/referral/*"),
)

_FILES = {"image", "audio", "video", "document", "sticker"}
_CHANGES = {"edit", "revoke"}


def normalized(
    kind: str, element: Mapping[str, Any], raw: bytes, value: Mapping[str, Any], account: Data
) -> NormalizedEvent:
    """Return the event of an element.

    Args:
        kind: one of LISTS, the list it is in.
        element: parsed.
        raw: its bytes.
        value: of the change: `metadata` and `contacts`.
        account: fields of the event.

    Raises:
        Malformed: `unknown_shape`.
    """
    phone_number_id = identifier(mapping(value.get("metadata")).get("phone_number_id"))
    data = without_empty(
        account=account, channel=without_empty(id=phone_number_id, type="whatsapp")
    )
    if kind == "statuses":
        return _status(element, raw, data, value)
    return _message(element, raw, data, value, is_echo=kind == "message_echoes")


def _status(
    element: Mapping[str, Any], raw: bytes, data: Data, value: Mapping[str, Any]
) -> NormalizedEvent:
    status, message_id = text(element.get("status")), identifier(element.get("id"))
    if status is None:
        raise Malformed("unknown_shape")
    recipient = identifier(element.get("recipient_id"))
    group_id = recipient if element.get("recipient_type") == "group" else None
    member = identifier(element.get("recipient_participant_id"))
    person = member if group_id else recipient
    data |= without_empty(
        conversation=without_empty(id=group_id),
        contact=_contact(person, value),
        message=without_empty(id=message_id),
        status=status,
    )
    identity: Identity = "delivery"
    if message_id:  # it has each status once, per person in a group
        identity = ("status", message_id, status, recipient or "", member or "")
    return NormalizedEvent(
        type="message.status_changed",
        vendortype=status,
        time=from_epoch_s(element.get("timestamp")),
        data=data,
        raw=raw,
        identity=identity,
    )


def _message(
    element: Mapping[str, Any],
    raw: bytes,
    data: Data,
    value: Mapping[str, Any],
    *,
    is_echo: bool,
) -> NormalizedEvent:
    vendortype, message_id = text(element.get("type")), identifier(element.get("id"))
    if vendortype is None and message_id is None:
        raise Malformed("unknown_shape")
    vendortype = vendortype or "unknown"
    person = identifier(element.get("to" if is_echo else "from"))
    person = person or identifier(element.get("to_user_id" if is_echo else "from_user_id"))
    customer = _contact(person, value)
    who = actor("agent") if is_echo else actor("contact", person, name=customer.get("name"))
    if vendortype == "system":
        who = actor("system")
    data |= without_empty(
        conversation=without_empty(id=identifier(element.get("group_id"))),
        contact=customer,
        actor=who,
    )
    event_type, detail = "message.created", ""
    change = mapping(element.get(vendortype))
    if vendortype in _CHANGES:
        event_type = "message.updated"
        edited = mapping(change.get("message"))
        content = _content(text(edited.get("type")) or "", edited)
        content |= without_empty(id=identifier(change.get("original_message_id")))
        data |= without_empty(message=content, status=vendortype)
    else:
        detail = message_kind(vendortype) or "unknown"
        content = _content(vendortype, element)
        data["message"] = without_empty(id=message_id, kind=detail) | content
    return NormalizedEvent(
        type=event_type,
        detail=detail,
        vendortype=vendortype,
        time=from_epoch_s(element.get("timestamp")),
        data=data,
        raw=raw,
        identity=("message", message_id) if message_id else "delivery",
    )


def _content(kind: str, message: Mapping[str, Any]) -> Data:
    """Return text, attachments and variables of a message by its type."""
    content = mapping(message.get(kind))
    if kind in _FILES:
        file = attachment(
            url=content.get("url"),
            attachment_id=content.get("id"),
            mime_type=content.get("mime_type"),
            file_name=content.get("filename"),
        )
        return without_empty(text=text(content.get("caption")), attachments=[file] if file else [])
    match kind:
        case "text" | "system":
            said = text(content.get("body"))
        case "reaction":
            said = text(content.get("emoji"))  # none if it was taken back
        case "location":
            said = text(content.get("name")) or text(content.get("address"))
        case "order":
            said = text(content.get("text"))
        case "button":
            return _choice(content.get("text"), payload=content.get("payload"))
        case "interactive":
            return _interactive(content)
        case _:
            said = None
    return without_empty(text=said)


def _interactive(content: Mapping[str, Any]) -> Data:
    for name in ("button_reply", "list_reply"):
        reply = mapping(content.get(name))
        if reply:
            return _choice(reply.get("title"), id=reply.get("id"))
    form = mapping(content.get("nfm_reply"))
    return _choice(form.get("body"), response_json=form.get("response_json"))


def _choice(said: object, **values: object) -> Data:
    return without_empty(text=text(said), variables=variables(values))


def _contact(person: str | None, value: Mapping[str, Any]) -> Data:
    """Return a customer, with the name that `contacts` of the same change has for them."""
    name = None
    for entry in map(mapping, sequence(value.get("contacts"))):
        if person and person in (identifier(entry.get("wa_id")), identifier(entry.get("user_id"))):
            name = mapping(entry.get("profile")).get("name")
            break
    # A phone number, unless it is one of the newer ids such as US.13491208655302741918.
    phone = person if person and person.isascii() and person.isdigit() else None
    return contact(person, name=name, phone=phone)
