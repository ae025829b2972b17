"""Telegram bots: one update per delivery, for a bot whose webhook was set with a `secret_token`.

https://core.telegram.org/bots/api#update
https://core.telegram.org/bots/api#setwebhook

The token comes back in a header of every delivery. An update is sent again until the answer is
2xx. An answer with a member `method` would be taken for a call of the Bot API; ours has none.
"""

from collections.abc import Callable, Mapping
from typing import Any

from relay.errors import Malformed
from relay.events.event import Data, NormalizedEvent
from relay.events.timestamps import from_epoch_s
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import Secrets, require_secret
from relay.vendors.kit.fields import (
    ActorType,
    actor,
    attachment,
    contact,
    identifier,
    mapping,
    sequence,
    text,
    without_empty,
)
from relay.vendors.kit.request import OutgoingRequest, Request
from relay.vendors.kit.setup import Setup

SETUP = Setup(enter="Call `setWebhook`: the URL as `url`, the secret as `secret_token`.")
TOKEN = "x-telegram-bot-api-secret-token"  # noqa: S105  the name of the header

# The first that a message has is its kind. Some come with another one for clients that don't know
# them: an animation with a document, a venue with a location, a game with its text.
_KINDS = (
    *("animation", "audio", "paid_media", "photo", "sticker", "story", "live_photo", "video"),
    *("video_note", "voice", "document", "venue", "location", "contact", "dice", "game", "poll"),
    *("checklist", "invoice", "successful_payment", "refunded_payment", "web_app_data"),
    *("users_shared", "chat_shared", "new_chat_members", "left_chat_member", "new_chat_title"),
    *("new_chat_photo", "delete_chat_photo", "group_chat_created", "supergroup_chat_created"),
    *("channel_chat_created", "message_auto_delete_timer_changed", "migrate_to_chat_id"),
    *("migrate_from_chat_id", "pinned_message", "write_access_allowed", "passport_data"),
    *("proximity_alert_triggered", "boost_added", "forum_topic_created", "forum_topic_edited"),
    *("forum_topic_closed", "forum_topic_reopened", "general_forum_topic_hidden"),
    *("general_forum_topic_unhidden", "giveaway_created", "giveaway", "giveaway_winners"),
    *("giveaway_completed", "video_chat_scheduled", "video_chat_started", "video_chat_ended"),
    *("video_chat_participants_invited", "gift", "unique_gift", "text"),
)
_FILES = ("animation", "audio", "document", "sticker", "video", "video_note", "voice")
_MESSAGES = {
    "message": "message.created",
    "edited_message": "message.updated",
    "channel_post": "message.created",
    "edited_channel_post": "message.updated",
    "business_message": "message.created",
    "edited_business_message": "message.updated",
}
_MEMBERS = ("my_chat_member", "chat_member")
TYPES = frozenset(
    {
        *_MESSAGES.values(),
        *("conversation.joined", "conversation.left", "conversation.updated"),
    }
)

_USER = ("id", "is_bot", "first_name", "last_name", "username", "language_code", "is_premium")
_CHAT = ("id", "type", "title", "username", "first_name", "last_name", "is_forum")
_PARTS = (
    *("forward_origin", "reply_to_message", "external_reply", "quote", "via_bot", "reply_markup"),
    *("link_preview_options", "entities", "caption_entities", "sender_business_bot"),
)
_FLAGS = (
    *("message_thread_id", "is_topic_message", "is_automatic_forward", "media_group_id"),
    *("has_protected_content", "is_from_offline", "author_signature", "edit_date", "caption"),
    *("show_caption_above_media", "has_media_spoiler", "business_connection_id"),
)
FIELDS = (
    # Of what a kind of message holds, the Bot API has hundreds: they are not looked at.
    *[f"/{name}/{part}/*" for name in _MESSAGES for part in (*_KINDS, *_PARTS)],
    *[f"/{name}/{part}/*/*" for name in _MESSAGES for part in (*_KINDS, *_PARTS)],
    *[f"/{name}/{flag}" for name in _MESSAGES for flag in _FLAGS],
    *[f"/{name}/from/{field}" for name in (*_MESSAGES, *_MEMBERS) for field in _USER],
    *[f"/{name}/sender_chat/{field}" for name in _MESSAGES for field in _CHAT],
    *[f"/{name}/chat/{field}" for name in (*_MESSAGES, *_MEMBERS) for field in _CHAT],
    *[f"/{name}/new_chat_member/is_member" for name in _MEMBERS],
    *[f"/message_reaction/actor_chat/{field}" for field in _CHAT],
    *("/callback_query/message/*", "/callback_query/game_short_name"),
)

_Typed = tuple[str, str, str | None, Data]  # type, detail, time and data of an event


def authenticate(request: Request, secrets: Secrets) -> None:
    """Raise Unauthenticated unless the header holds a live secret."""
    require_secret([request.headers.get(TOKEN) or ""], secrets)


def normalize(request: Request) -> list[NormalizedEvent]:
    """Return the one event; none for an empty test call.

    Raises:
        Malformed: `not_json`, `too_deep` or `unknown_shape`.
    """
    raw = raw_json.strip_bom(request.body)
    if not raw:
        return []
    update = mapping(raw_json.parse(raw))
    vendortype = _vendortype(update)
    event_type, detail, time, data = _READERS.get(vendortype, _unrecognized)(
        vendortype, mapping(update[vendortype])
    )
    update_id = identifier(update.get("update_id"))
    return [
        NormalizedEvent(
            type=event_type,
            detail=detail,
            vendortype=vendortype,
            time=time,
            data=data,
            raw=raw,
            identity=("update_id", update_id) if update_id else "delivery",
        )
    ]


def sign(body: bytes, secret: str) -> OutgoingRequest:
    """Return the delivery of body with the secret in its header."""
    return OutgoingRequest(body=body, headers={"Content-Type": "application/json", TOKEN: secret})


def _vendortype(update: Mapping[str, Any]) -> str:
    """Return the one member of an update beside its id: one that is known, else the first object.

    Raises:
        Malformed: `unknown_shape`.
    """
    objects = [name for name, value in update.items() if name and type(value) is dict]
    known = [name for name in objects if name in _READERS]
    if not objects:
        raise Malformed("unknown_shape")
    return (known or objects)[0]


def _message(vendortype: str, message: Mapping[str, Any]) -> _Typed:
    event_type = _MESSAGES[vendortype]
    chat = mapping(message.get("chat"))
    content = _content(message)
    data = without_empty(
        conversation=_conversation(chat),
        **_people(vendortype, message, chat),
        channel=_channel(chat, message),
        message=content,
    )
    is_new = event_type == "message.created"
    sent_at = from_epoch_s(message.get("date"))
    time = sent_at if is_new else from_epoch_s(message.get("edit_date")) or sent_at
    return event_type, content["kind"] if is_new else "", time, data


def _content(message: Mapping[str, Any]) -> Data:
    kind = next((name for name in _KINDS if name in message), "unknown")
    files = [_file(kind, message.get(kind))]
    return without_empty(
        id=identifier(message.get("message_id")),
        kind=kind,
        text=text(message.get("text")) or text(message.get("caption")),
        attachments=[file for file in files if file],
    )


def _file(kind: str, value: object) -> Data:
    """Return a file. The Bot API's `getFile` gives a URL for its id."""
    if kind == "photo":
        # The same picture in several sizes. The largest is the last, which is not documented.
        sizes = [size for size in map(mapping, sequence(value)) if size.get("file_id")]
        value = max(sizes, key=_area) if sizes else {}
    elif kind not in _FILES:
        return {}
    file = mapping(value)
    return attachment(
        attachment_id=file.get("file_id"),
        mime_type=file.get("mime_type"),
        file_name=file.get("file_name"),
        size_bytes=file.get("file_size"),
    )


def _area(size: Mapping[str, Any]) -> int:
    width, height = size.get("width"), size.get("height")
    return width * height if type(width) is int and type(height) is int else -1


def _people(vendortype: str, message: Mapping[str, Any], chat: Mapping[str, Any]) -> Data:
    """Return who wrote a message, and the customer it is from or for."""
    if vendortype.endswith("channel_post"):
        return {"actor": actor("agent", name=message.get("author_signature"))}
    sender, alias = mapping(message.get("from")), mapping(message.get("sender_chat"))
    if alias:  # `from` is a placeholder then: someone writes in the name of a chat
        is_own = identifier(alias.get("id")) == identifier(chat.get("id"))
        if is_own:
            return {"actor": actor("agent", name=message.get("author_signature"))}
        person = _person(alias, None)
        return {"contact": person, "actor": {"type": "contact"} | person}
    if chat.get("type") == "private":
        customer = _person(chat, message)
        is_customer = identifier(sender.get("id")) == customer.get("id")
        return {"contact": customer, "actor": _actor(sender, "contact" if is_customer else "agent")}
    person = {} if sender.get("is_bot") is True else _person(sender, message)
    return {"contact": person, "actor": _actor(sender)}


def _actor(user: Mapping[str, Any], role: ActorType = "contact") -> Data:
    """Return a user as an actor of this role, unless it is a bot; nothing for nobody."""
    if not user:
        return {}
    return actor("bot" if user.get("is_bot") is True else role, user.get("id"), name=_name(user))


def _person(user: Mapping[str, Any], message: Mapping[str, Any] | None) -> Data:
    """Return a customer; with the phone if the message shares the one of its sender."""
    shared = mapping((message or {}).get("contact"))
    user_id = identifier(user.get("id"))
    is_own = user_id is not None and identifier(shared.get("user_id")) == user_id
    phone = identifier(shared.get("phone_number")) if is_own else None
    return contact(user_id, name=_name(user), phone=phone)


def _name(user: Mapping[str, Any]) -> str | None:
    names = filter(None, [text(user.get("first_name")), text(user.get("last_name"))])
    return " ".join(names) or text(user.get("title")) or text(user.get("username"))


def _conversation(chat: Mapping[str, Any]) -> Data:
    return without_empty(id=identifier(chat.get("id")), title=text(chat.get("title")))


def _channel(chat: Mapping[str, Any], element: Mapping[str, Any]) -> Data:
    return without_empty(
        id=identifier(element.get("business_connection_id")), type=text(chat.get("type"))
    )


def _pressed(vendortype: str, query: Mapping[str, Any]) -> _Typed:
    """Read a press of a button. Its message may be one the bot can't see any more, or none."""
    message, sender = mapping(query.get("message")), mapping(query.get("from"))
    chat = mapping(message.get("chat"))
    pressed = [
        {"name": name, "value": query[name]}
        for name in ("data", "game_short_name")
        if text(query.get(name))
    ]
    data = without_empty(
        conversation=_conversation(chat),
        contact=_person(sender, None),
        actor=_actor(sender),
        channel=_channel(chat, message),
        message=without_empty(id=identifier(query.get("id")), kind=vendortype, variables=pressed),
    )
    return "message.created", vendortype, None, data


def _reaction(_: str, change: Mapping[str, Any]) -> _Typed:
    """Read what someone thinks of a message now: its text is none if they took it back."""
    chat, alias = mapping(change.get("chat")), mapping(change.get("actor_chat"))
    person = mapping(change.get("user")) or alias
    reactions = map(mapping, sequence(change.get("new_reaction")))
    emojis = [emoji for reaction in reactions if (emoji := text(reaction.get("emoji")))]
    target = identifier(change.get("message_id"))
    data = without_empty(
        conversation=_conversation(chat),
        contact=_customer(person),
        actor=_actor(person),
        channel=_channel(chat, change),
        message=without_empty(
            kind="reaction",
            text="".join(emojis) or None,
            variables=[{"name": "message_id", "value": target}] if target else [],
        ),
    )
    return "message.created", "reaction", from_epoch_s(change.get("date")), data


def _membership(_: str, change: Mapping[str, Any]) -> _Typed:
    """Read what became of a member: of the bot itself in `my_chat_member`.

    In a private chat the bot is a member until the customer blocks it.
    """
    chat, sender = mapping(change.get("chat")), mapping(change.get("from"))
    old, new = mapping(change.get("old_chat_member")), mapping(change.get("new_chat_member"))
    was_in, is_in = _is_in(old), _is_in(new)
    event_type = "conversation.updated"
    if was_in != is_in:
        event_type = "conversation.joined" if is_in else "conversation.left"
    is_private = chat.get("type") == "private"
    data = without_empty(
        conversation=_conversation(chat),
        contact=_person(chat, None) if is_private else _customer(mapping(new.get("user"))),
        actor=_actor(sender),
        channel=_channel(chat, change),
        status=text(new.get("status")),
    )
    if event_type != "conversation.updated":
        data |= without_empty(member=_actor(mapping(new.get("user"))))
    return event_type, "", from_epoch_s(change.get("date")), data


def _is_in(member: Mapping[str, Any]) -> bool:
    status = member.get("status")
    if status == "restricted":
        return member.get("is_member") is True
    return status in ("creator", "administrator", "member")


def _customer(user: Mapping[str, Any]) -> Data:
    return {} if user.get("is_bot") is True else _person(user, None)


def _unrecognized(vendortype: str, element: Mapping[str, Any]) -> _Typed:
    """Return what is known of any other update."""
    chat, sender = mapping(element.get("chat")), mapping(element.get("from"))
    sender = sender or mapping(element.get("user"))
    data = without_empty(
        conversation=_conversation(chat),
        contact=_customer(sender),
        actor=_actor(sender),
        channel=_channel(chat, element),
    )
    return "unrecognized", vendortype, from_epoch_s(element.get("date")), data


_READERS: dict[str, Callable[[str, Mapping[str, Any]], _Typed]] = {
    **dict.fromkeys(_MESSAGES, _message),
    **dict.fromkeys(_MEMBERS, _membership),
    "callback_query": _pressed,
    "message_reaction": _reaction,
}
