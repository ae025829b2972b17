"""What a push of Channel Talk says: which event it is, who takes part, and its data."""

from collections.abc import Mapping
from typing import Any

from relay.events.event import Data
from relay.events.timestamps import from_epoch_ms
from relay.vendors.kit.fields import (
    ActorType,
    actor,
    as_note,
    contact,
    identifier,
    mapping,
    says,
    sequence,
    text,
    without_empty,
)
from relay.vendors.parts.channeltalk_content import content

_PEOPLE: dict[object, ActorType] = {
    "manager": "agent",
    "bot": "bot",
    "user": "contact",
    "veil": "contact",  # until 2020, a customer who had not said who they are
}
_TEAM_CHATS = ("group", "directchat", "teamchat")

# There is no subscription for these: they come as a message with a log. The list is open.
_ACTIONS = {
    "close": "conversation.closed",
    "autoClose": "conversation.closed",
    "open": "conversation.opened",
    "autoOpen": "conversation.opened",
    "assign": "conversation.assigned",
    "autoAssign": "conversation.assigned",
    "unassign": "conversation.assigned",
    "assignTeam": "conversation.assigned",
    "unassignTeam": "conversation.assigned",
    "join": "conversation.joined",
    "invite": "conversation.joined",
    "leave": "conversation.left",
    "remove": "conversation.left",
    "miss": "conversation.missed",
    "processByMiss": "conversation.missed",
    "snooze": "conversation.status_changed",
    "enqueue": "conversation.status_changed",
    "addTags": "labels.added",
    "removeTags": "labels.removed",
}
TYPES: frozenset[str] = frozenset(
    {
        *("message.created", "message.updated", "team_message.created", "note.created"),
        *("conversation.created", "conversation.updated", "conversation.opened"),
        *("contact.updated", "contact.deleted"),
        *_ACTIONS.values(),
    }
)

_Typed = tuple[str, str, Data]  # the event's type, its detail, and its data


def message_event(event_type: str, entity: Mapping[str, Any], refers: Mapping[str, Any]) -> _Typed:
    """Return the event of a message, which `message.*` is only if the customer sees it.

    Args:
        event_type: `message.created` or `message.updated`. What is internal, a note or a message
            in a team chat, has one type for both.
        entity: the message.
        refers: what the push says of those who take part, the chat among them.
    """
    chat = mapping(refers.get("userChat"))
    log = mapping(entity.get("log"))
    action = text(log.get("action"))
    is_team_chat = _is_team_chat(entity, refers)
    data = _message_parties(entity, refers, chat)
    if action in _ACTIONS and event_type == "message.created" and not is_team_chat:
        return _ACTIONS[action], "", _with_change(data, action, sequence(log.get("values")), chat)
    message = content(entity, action)
    if says(entity.get("options"), "private"):
        return "note.created", "", data | as_note(message)
    data["message"] = message
    if is_team_chat:
        return "team_message.created", message["kind"], data
    return event_type, message["kind"] if event_type == "message.created" else "", data


def chat_event(event_type: str, entity: Mapping[str, Any], refers: Mapping[str, Any]) -> _Typed:
    """Return the event of a chat; a new one that was opened before is an old one, opened again."""
    if event_type == "conversation.created" and _is_reopened(entity):
        event_type = "conversation.opened"
    data = without_empty(
        conversation=without_empty(
            id=identifier(entity.get("id")),
            title=text(entity.get("name")),
            created_at=from_epoch_ms(entity.get("createdAt")),
        ),
        contact=_contact(_customer_id(entity), _customer(refers), entity),
        account=without_empty(id=identifier(entity.get("channelId"))),
        **_chat_state(entity),
    )
    return event_type, "", data


def contact_event(event_type: str, entity: Mapping[str, Any], _: Mapping[str, Any]) -> _Typed:
    """Return the event of a customer, of whom no more than the id may be left."""
    data = without_empty(
        contact=_contact(entity.get("id"), entity, {}),
        account=without_empty(id=identifier(entity.get("channelId"))),
    )
    return event_type, "", data


def _is_team_chat(entity: Mapping[str, Any], refers: Mapping[str, Any]) -> bool:
    """Return whether staff are among themselves, which the key of a chat says, too: `group-7`."""
    if chat_type := text(entity.get("chatType")):
        return chat_type.lower() in _TEAM_CHATS
    keys = [text(entity.get(name)) or "" for name in ("chatKey", "mainKey")]
    if any(key.partition("-")[0].lower() in _TEAM_CHATS for key in keys):
        return True
    return bool(mapping(refers.get("group"))) and not mapping(refers.get("userChat"))


def _is_reopened(chat: Mapping[str, Any]) -> bool:
    first, last = chat.get("firstOpenedAt"), chat.get("openedAt")
    return type(first) is int and type(last) is int and last > first


def _message_parties(
    entity: Mapping[str, Any], refers: Mapping[str, Any], chat: Mapping[str, Any]
) -> Data:
    """Return whom and what a message is about; of the chat, what the message lacks."""
    role = (text(entity.get("personType")) or "").lower()
    kind = _PEOPLE.get(role)
    person_id = identifier(entity.get("personId"))
    user = _customer(refers)
    customer_id = person_id if kind == "contact" else None
    customer = _contact(customer_id or _customer_id(chat) or user.get("id"), user, chat)
    data = _chat_state(chat) if chat else {}
    if chat_id := identifier(entity.get("chatId")) or identifier(chat.get("id")):
        data["conversation"] = {"id": chat_id}
    if customer:
        data["contact"] = customer
    if channel_id := identifier(entity.get("channelId")) or identifier(chat.get("channelId")):
        data["account"] = {"id": channel_id}
    if kind:
        person = customer if kind == "contact" else mapping(refers.get(role))
        data["actor"] = actor(kind, person_id, name=person.get("name"), email=person.get("email"))
    return data


def _customer(refers: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(refers.get("user")) or mapping(refers.get("veil"))


def _customer_id(chat: Mapping[str, Any]) -> str | None:
    """Return whose chat it is. Until 2020 a chat named them as a message does."""
    if customer_id := identifier(chat.get("userId")):
        return customer_id
    role = (text(chat.get("personType")) or "").lower()
    return identifier(chat.get("personId")) if _PEOPLE.get(role) == "contact" else None


def _contact(contact_id: object, user: Mapping[str, Any], chat: Mapping[str, Any]) -> Data:
    """Return the customer: what `profile` says, else the user itself, else the chat."""
    if not user:
        return contact(contact_id, name=chat.get("name"))
    profile = mapping(user.get("profile"))
    return contact(
        contact_id,
        name=text(profile.get("name")) or text(user.get("name")) or chat.get("name"),
        email=text(profile.get("email")) or user.get("email"),
        phone=text(profile.get("mobileNumber"))
        or text(profile.get("landlineNumber"))
        or text(user.get("mobileNumber"))
        or user.get("landlineNumber"),
    )


def _chat_state(chat: Mapping[str, Any]) -> Data:
    """Return where a chat is held, who has it and how it stands."""
    state: Data = {}
    if medium := text(chat.get("contactMediumType")) or text(chat.get("mediumType")):
        state["channel"] = {"type": medium}
    if assignee := _assignee(chat):
        state["assignment"] = {"to": assignee}
    if status := text(chat.get("state")):
        state["status"] = status
    return state


def _assignee(chat: Mapping[str, Any]) -> Data:
    if agent := identifier(chat.get("assigneeId")):
        return actor("agent", agent)
    team = identifier(chat.get("teamId"))
    return actor("team", team) if team else {}


def _with_change(data: Data, action: str, values: list[Any], chat: Mapping[str, Any]) -> Data:
    """Return data with what the action of a log changed.

    Args:
        data: of the message.
        action: one of _ACTIONS.
        values: of the log: the ids of people or teams, or the names of tags.
        chat: as it is after the change.
    """
    event_type = _ACTIONS[action]
    if event_type == "conversation.assigned":
        to = _assigned(action, values, chat)
        return data | {"assignment": {"to": to}} if to else _without(data, "assignment")
    changed: Data = {}
    if event_type.startswith("labels."):
        changed["labels"] = [{"name": name} for name in map(_name, values) if name]
    elif action in ("invite", "remove"):
        changed["member"] = _first(values, "agent")
    elif action in ("join", "leave"):
        changed["member"] = data.get("actor") or _first(values, "agent")
    return data | without_empty(**changed)


def _assigned(action: str, values: list[Any], chat: Mapping[str, Any]) -> Data:
    """Return to whom the chat was assigned; to nobody if it was taken from someone.

    Someone may still be responsible for a chat that was given to a team.
    """
    if action.startswith("unassign"):
        return {}
    if action == "assignTeam":
        team = identifier(chat.get("teamId"))
        return actor("team", team) if team else _first(values, "team")
    return _assignee(chat) or _first(values, "agent")


def _first(values: list[Any], role: ActorType) -> Data:
    """Return the actor whose id is the first of values, nothing if there is none."""
    first = values[0] if values else None
    first_id = identifier(first) or identifier(mapping(first).get("id"))
    return actor(role, first_id) if first_id else {}


def _name(value: object) -> str | None:
    return identifier(value) or text(mapping(value).get("name"))


def _without(data: Data, name: str) -> Data:
    return {key: value for key, value in data.items() if key != name}
