"""Channel Talk (channel.io) webhooks.

https://developers.channel.io/docs/webhook-events-1, https://developers.channel.io/docs/getting-started-1

The URL carries a token that Channel made for the webhook, `?token=...`, which it also appends
behind a query that is there already. A channel may have several webhooks, so several tokens. After
100 answers of 4xx or 5xx in a row Channel blocks a webhook until someone unblocks it. A header
`x-quick-reply` would post our answer into the chat. `x-signature` signs calls of apps, no webhooks.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from relay.errors import Malformed
from relay.events.event import Data, Identity, NormalizedEvent
from relay.events.timestamps import from_epoch_ms
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import Secrets, require_secret
from relay.vendors.kit.fields import identifier, mapping, text, without_empty
from relay.vendors.kit.request import OutgoingRequest, Request
from relay.vendors.kit.setup import Setup
from relay.vendors.parts import channeltalk_events

SETUP = Setup(
    enter="Save a webhook with the URL: only then Channel shows its token, which is the secret. "
    "Put it where the secret is, and send the relay SIGHUP, at once: refused deliveries "
    "count.",
    is_copied=True,
)
TYPES = channeltalk_events.TYPES

_QUESTION_MARK = re.compile(r"\?|%3[fF]")
_TOKEN = re.compile(r"(?:\?|%3[fF])token%3[dD]")
_CREATED = ("push", "create", "created")
_UPDATED = ("update", "updated", "upsert", "upserted")
_DELETED = ("delete", "deleted", "remove", "removed")  # which one is not published

_Typed = tuple[str, str, Data]
_Typing = Callable[[str, Mapping[str, Any], Mapping[str, Any]], _Typed]

_MODELS: tuple[tuple[str, tuple[str, ...], str, _Typing], ...] = (
    ("message", _CREATED, "message.created", channeltalk_events.message_event),
    ("message", _UPDATED, "message.updated", channeltalk_events.message_event),
    ("userchat", _CREATED, "conversation.created", channeltalk_events.chat_event),
    ("userchat", _UPDATED, "conversation.updated", channeltalk_events.chat_event),
    ("user", _UPDATED, "contact.updated", channeltalk_events.contact_event),
    ("user", _DELETED, "contact.deleted", channeltalk_events.contact_event),
)
_PUSHES = {
    (model, verb): (event_type, typed)
    for model, verbs, event_type, typed in _MODELS
    for verb in verbs
}
_CONTENTS = ("carousel", "buttons", "webPage", "email", "marketing", "file")
_FILE = ("id", "key", "url", "name", "filename", "size", "type", "contentType")
_CHAT = ("assigneeId", "closedAt", "teamId", "managerIds", "tags", "updatedAt")
_USER = ("email", "mobileNumber", "landlineNumber")
_PROFILES = ("/entity", "/refers/user", "/refers/userChat", "/refers/veil")
FIELDS = (
    # What the code reads, or the samples show of the same object at another place.
    *[f"/entity/{name}" for name in (*_CONTENTS, *_CHAT, *_USER)],
    *[f"/entity/{place}/{name}" for place in ("files/*", "file") for name in _FILE],
    *[f"/refers/userChat/{name}" for name in _CHAT],
    *[f"/refers/user/{name}" for name in _USER],
    # Until 2020.
    *("/entity/message", "/refers/userChat/personType", "/refers/userChat/personId"),
    *[f"/refers/veil/{name}" for name in ("id", "name", *_USER)],
    *[f"/entity/blocks/*/blocks/*/{name}" for name in ("type", "value", "blocks")],
    "/entity/log/triggerType",
    *("/entity/meet/missedReason", "/entity/meet/call/missedReason", "/entity/meet/call/state"),
    # Attributes of a customer, which a company defines, and what a customer entered.
    *[f"{place}/profile/*" for place in _PROFILES],
    "/entity/form/inputs/*/value/*",
)


def authenticate(request: Request, secrets: Secrets) -> None:
    """Raise Unauthenticated unless a `token` of the query is live."""
    require_secret(_tokens(request), secrets)


def normalize(request: Request) -> list[NormalizedEvent]:
    """Return the one event; none for an empty test call.

    Raises:
        Malformed: `not_json`, `too_deep` or `unknown_shape`.
    """
    raw = raw_json.strip_bom(request.body)
    if not raw:
        return []
    body = mapping(raw_json.parse(raw))
    entity = body.get("entity")
    if type(entity) is not dict:
        raise Malformed("unknown_shape")
    model, verb = text(body.get("type")) or _model(entity), text(body.get("event"))
    if model is None or verb is None:
        raise Malformed("unknown_shape")
    push = model.lower(), verb.lower()  # `message` has been seen as `Message`
    known_type, typed = _PUSHES.get(push, ("unrecognized", _unrecognized))
    event_type, detail, data = typed(known_type, entity, mapping(body.get("refers")))
    return [
        NormalizedEvent(
            type=event_type,
            detail=f"{model}_{verb}" if event_type == "unrecognized" else detail,
            vendortype=f"{model}.{verb}",
            time=_time(known_type, event_type, entity),
            data=data,
            raw=raw,
            identity=_identity(push, entity),
        )
    ]


def sign(body: bytes, secret: str) -> OutgoingRequest:
    """Return the delivery of body to a URL with the token in its query."""
    headers = {"Content-Type": "application/json"}
    return OutgoingRequest(body=body, headers=headers, query={"token": secret})


def _tokens(request: Request) -> list[str]:
    """Return what may be a token. `?a=1?token=...` was seen: a second mark may begin another.

    Whoever writes that anew in front of us makes `a=1%3Ftoken%3D...` of it.
    """
    query = request.query_string
    tokens = request.query("token")
    if "?" in query or "%3" in query:
        parted = _QUESTION_MARK.sub("&", _TOKEN.sub("&token=", query))
        tokens += request._replace(query_string=parted).query("token")
    return tokens


def _model(entity: Mapping[str, Any]) -> str | None:
    """Return what the entity of a push is whose `type` is missing."""
    is_message = text(entity.get("chatType")) and text(entity.get("personType"))
    return "message" if is_message else None


def _unrecognized(_: str, entity: Mapping[str, Any], __: Mapping[str, Any]) -> _Typed:
    account = without_empty(id=identifier(entity.get("channelId")))
    return "unrecognized", "", without_empty(account=account)


def _time(known_type: str, event_type: str, entity: Mapping[str, Any]) -> str | None:
    """Return the vendor's clock: of the change, of the reopening, else of the beginning."""
    if known_type.endswith(("updated", "deleted")):
        changed_at = from_epoch_ms(entity.get("updatedAt"))
    elif known_type == "conversation.created" and event_type == "conversation.opened":
        changed_at = from_epoch_ms(entity.get("openedAt"))
    else:
        changed_at = None
    return changed_at or from_epoch_ms(entity.get("createdAt"))


def _identity(push: tuple[str, str], entity: Mapping[str, Any]) -> Identity:
    """Return what tells a change apart, whatever else comes along: the entity and its version.

    Without them, nothing does: an update is the same as the next one but for its version.
    """
    entity_id, version = identifier(entity.get("id")), identifier(entity.get("version"))
    return "delivery" if entity_id is None or version is None else (*push, entity_id, version)
