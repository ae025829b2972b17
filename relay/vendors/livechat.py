"""LiveChat webhooks, by text.com: versions 3.1 to 3.6 of their payloads.

https://platform.text.com/docs/management/webhooks
https://platform.text.com/docs/messaging/agent-chat-api (events, users)

What proves the sender is the member `secret_key` of the body, which is taken out of all that is
kept. A chat of a customer goes on for years, in threads; a webhook about a new thread brings the
events that it begins with.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from relay.errors import Malformed
from relay.events.event import MAX_EVENTS, Data, NormalizedEvent
from relay.events.timestamps import from_utc_text
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import Secrets, require_secret
from relay.vendors.kit.fields import (
    actor,
    identifier,
    mapping,
    sequence,
    text,
    without_empty,
)
from relay.vendors.kit.request import OutgoingRequest, Request
from relay.vendors.kit.setup import Setup
from relay.vendors.parts.livechat_events import (
    Payload,
    Read,
    contact_of,
    customer_of,
    of_chat,
    person,
    read_event,
    read_first_event,
    read_postback,
    told_apart_by,
    users_of,
)

SETUP = Setup(
    enter="`register_webhook`, or your app in the Developer Console: the URL, and the secret as "
    "`secret_key`; then enable the webhooks for the license."
)
SECRET = "secret_key"  # noqa: S105  the name of the member

_SECRET = re.compile(rb'"secret_key"\s*+:\s*+("(?:[^"\\]++|\\.)*+")', re.DOTALL)
_MAX_SECRETS = 64
"""Looked at in a body that is no JSON: each is compared with each live one."""
_OLD_NAMES = {  # of 3.1, and what they are called since
    "incoming_chat_thread": "incoming_chat",
    "thread_closed": "chat_deactivated",
    "chat_user_added": "user_added_to_chat",
    "chat_user_removed": "user_removed_from_chat",
    "chat_thread_tagged": "thread_tagged",
    "chat_thread_untagged": "thread_untagged",
    "agent_status_changed": "routing_status_set",
    "customer_created": "incoming_customer",
}
_CHAT_UPDATES = (
    *("chat_properties_updated", "chat_properties_deleted", "thread_properties_updated"),
    *("thread_properties_deleted", "chat_access_updated", "chat_access_granted"),
    *("chat_access_revoked", "chat_thread_properties_updated", "chat_thread_properties_deleted"),
)
_CUSTOMERS = ("incoming_customer", "customer_session_fields_updated")
TYPES = frozenset(
    {
        *("conversation.created", "conversation.opened", "conversation.closed"),
        *("conversation.assigned", "conversation.joined", "conversation.left"),
        *("conversation.updated", "message.created", "message.updated", "message.status_changed"),
        *("note.created", "labels.added", "labels.removed"),
        *("agent.status_changed", "contact.updated"),
    }
)
FIELDS = (
    "/payload/customer_id",
    *("/additional_data/chat_properties/*", "/additional_data/chat_presence_user_ids"),
    # Properties and fields, which an app or a website defines.
    *[f"/payload{part}/properties/*" for part in ("", "/chat", "/chat/thread", "/event")],
    *("/payload/chat/thread/events/*/properties/*", "/properties/*"),
    *[f"/payload{part}/session_fields/*/*" for part in ("", "/user", "/chat/users/*")],
    "/payload/event/text_vars/*",
)


def authenticate(request: Request, secrets: Secrets) -> None:
    """Raise Unauthenticated unless `secret_key` of the body is live."""
    if secrets.values:
        require_secret(_said_secrets(request.body), secrets)


def normalize(request: Request) -> list[NormalizedEvent]:
    """Return the event, then those that a new thread begins with; none for an empty test call.

    Raises:
        Malformed: `not_json`, `too_deep`, `too_many_members`, `too_many_events` or
            `unknown_shape`.
    """
    raw = raw_json.strip_bom(request.body)
    if not raw:
        return []
    body = mapping(raw_json.parse(raw))
    vendortype, payload = text(body.get("action")), mapping(body.get("payload"))
    if vendortype is None:
        raise Malformed("unknown_shape")
    if SECRET in body:
        raw = raw_json.without_members(raw, (SECRET,))
    action = _OLD_NAMES.get(vendortype, vendortype)
    found = [(_READERS.get(action, _unrecognized)(action, payload), raw)]
    if action == "incoming_chat":
        found += _first_events(mapping(payload.get("chat")), raw)
    return [
        NormalizedEvent(
            **(read._asdict() | {"data": read.data | without_empty(account=_account(body))}),
            vendortype=vendortype,
            raw=element,
        )
        for read, element in found
    ]


def sign(body: bytes, secret: str) -> OutgoingRequest:
    """Return the delivery of body with the secret in it. What is no JSON object has no place."""
    headers = {"Content-Type": "application/json"}
    raw = raw_json.strip_bom(body)
    try:
        is_object = type(raw_json.parse(raw)) is dict
        rest = raw_json.without_members(raw, (SECRET,))[1:] if is_object else b""
    except Malformed:
        rest = b""
    if rest:
        comma = b"" if rest == b"}" else b","
        body = b'{"%b":%b%b%b' % (SECRET.encode(), orjson.dumps(secret), comma, rest)
    return OutgoingRequest(body=body, headers=headers)


def _said_secrets(body: bytes) -> list[str]:
    """Return what may be the secret; in a body that is no JSON, wherever one is named so."""
    repaired = raw_json.repair(raw_json.strip_bom(body))
    try:
        return [text(mapping(raw_json.parse(repaired)).get(SECRET)) or ""]
    except Malformed:
        return list(_strings(_SECRET.findall(repaired)))


def _strings(texts: list[bytes]) -> Iterator[str]:
    for string in set(texts[:_MAX_SECRETS]):
        try:
            yield orjson.loads(string)
        except orjson.JSONDecodeError:
            continue


def _account(body: Mapping[str, Any]) -> Data:
    known = identifier(body.get("organization_id")) or identifier(body.get("license_id"))
    return without_empty(id=known)


# Chats: threads of a customer's one conversation.


def _chat_started(_: str, payload: Payload) -> Read:
    """Read a new thread: of a new chat, or of one that there has been."""
    chat = mapping(payload.get("chat"))
    thread, users = mapping(chat.get("thread")), users_of(chat)
    created_at = from_utc_text(thread.get("created_at"))
    is_new = identifier(thread.get("previous_thread_id")) is None
    agents = [user for user in users.values() if user.get("type") == "agent"]
    data = of_chat(chat.get("id"), customer_of(users)) | without_empty(
        assignment=without_empty(to=person((agents[0] if agents else {}).get("id"), users))
    )
    if is_new and "conversation" in data:
        data["conversation"] |= without_empty(created_at=created_at)
    return Read(
        "conversation.created" if is_new else "conversation.opened",
        data,
        time=created_at,
        identity=told_apart_by("thread", chat.get("id"), thread.get("id")),
    )


def _first_events(chat: Mapping[str, Any], raw: bytes) -> list[tuple[Read, bytes]]:
    """Return the events that a thread begins with, each with its own bytes.

    What is no event is left in the `raw` of the chat.

    Raises:
        Malformed: `too_many_events`, `too_many_members`.
    """
    events = sequence(mapping(chat.get("thread")).get("events"))
    if not events:
        return []
    if len(events) >= MAX_EVENTS:
        raise Malformed("too_many_events")
    part = raw.decode()
    for name in ("payload", "chat", "thread", "events"):
        part = dict(raw_json.split_object(part))[name]  # the last one counts, as for the parser
    users, chat_id = users_of(chat), chat.get("id")
    customer = customer_of(users)
    return [
        (read_first_event(chat_id, event, users, customer), element.encode())
        for event, element in zip(events, raw_json.split_array(part), strict=True)
        if text(mapping(event).get("type"))
    ]


def _chat_ended(_: str, payload: Payload) -> Read:
    data = of_chat(payload.get("chat_id")) | without_empty(actor=person(payload.get("user_id")))
    identity = told_apart_by("closed", payload.get("chat_id"), payload.get("thread_id"))
    return Read("conversation.closed", data, identity=identity)


def _transferred(_: str, payload: Payload) -> Read:
    """Read to whom a chat went: to an agent, or to a group; to nobody if into a queue."""
    target = mapping(payload.get("transferred_to"))
    agent = next(filter(None, map(identifier, sequence(target.get("agent_ids")))), None)
    group = next(filter(None, map(identifier, sequence(target.get("group_ids")))), None)
    assignment = without_empty(
        to=person(agent) or (actor("team", group) if group else {}),
        mode="manual" if payload.get("reason") == "manual" else None,
    )
    who = person(payload.get("requester_id"))
    data = of_chat(payload.get("chat_id")) | without_empty(actor=who, assignment=assignment)
    return Read("conversation.assigned", data)


def _membership(action: str, payload: Payload) -> Read:
    user = mapping(payload.get("user"))
    user_id = identifier(user.get("id")) or identifier(payload.get("user_id"))
    kind = text(payload.get("user_type")) or text(user.get("type"))
    users = {user_id: {**user, "id": user_id, "type": kind}} if user_id else {}
    data = of_chat(payload.get("chat_id"), customer_of(users)) | without_empty(
        actor=person(payload.get("requester_id")), member=person(user_id, users)
    )
    is_joined = action == "user_added_to_chat"
    return Read("conversation.joined" if is_joined else "conversation.left", data)


def _chat_updated(_: str, payload: Payload) -> Read:
    chat_id = identifier(payload.get("chat_id")) or payload.get("id")
    return Read("conversation.updated", of_chat(chat_id))


def _tagged(action: str, payload: Payload) -> Read:
    tag = text(payload.get("tag"))
    data = of_chat(payload.get("chat_id")) | without_empty(labels=[{"name": tag}] if tag else [])
    return Read("labels.added" if action == "thread_tagged" else "labels.removed", data)


def _seen(_: str, payload: Payload) -> Read:
    chat_id, user_id, until = map(payload.get, ("chat_id", "user_id", "seen_up_to"))
    data = of_chat(chat_id) | without_empty(actor=person(user_id), status="seen")
    return Read(
        "message.status_changed",
        data,
        time=from_utc_text(until),
        identity=told_apart_by("seen", chat_id, user_id, until),
    )


# People.


def _status(_: str, payload: Payload) -> Read:
    agent, status = person(payload.get("agent_id")), text(payload.get("status"))
    return Read("agent.status_changed", without_empty(actor=agent, status=status))


def _customer(_: str, payload: Payload) -> Read:
    known = contact_of({"id": payload.get("customer_id"), **payload})
    return Read("contact.updated", without_empty(contact=known))


def _unrecognized(action: str, payload: Payload) -> Read:
    return Read("unrecognized", of_chat(payload.get("chat_id")), action)


_READERS: dict[str, Callable[[str, Payload], Read]] = {
    **dict.fromkeys(_CHAT_UPDATES, _chat_updated),
    **dict.fromkeys(_CUSTOMERS, _customer),
    **dict.fromkeys(("incoming_event", "event_updated"), read_event),
    **dict.fromkeys(("thread_tagged", "thread_untagged"), _tagged),
    **dict.fromkeys(("user_added_to_chat", "user_removed_from_chat"), _membership),
    "incoming_chat": _chat_started,
    "chat_deactivated": _chat_ended,
    "chat_transferred": _transferred,
    "events_marked_as_seen": _seen,
    "incoming_rich_message_postback": read_postback,
    "routing_status_set": _status,
}
