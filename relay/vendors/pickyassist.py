"""Picky Assist, Teambox Event Webhook.

https://help.pickyassist.com/api-documentation-v2/event-webhook/teambox-event-webhook

Nothing in a delivery proves who sent it. The only possible secret is one in the URL that the user
enters, as a path segment or as `?token=` (or `?secret=`). One POST is one event.
"""

from collections.abc import Mapping
from typing import Any

from relay.errors import Malformed
from relay.events.event import Data, NormalizedEvent
from relay.events.timestamps import from_epoch_s
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import Secrets, require_secret
from relay.vendors.kit.fields import actor, identifier, text, without_empty
from relay.vendors.kit.request import OutgoingRequest, Request

_TYPES = {
    "1": "conversation.assigned",
    "2": "conversation.accepted",
    "3": "conversation.rejected",
    "4": "conversation.closed",
    "5": "conversation.missed",
    "6": "conversation.joined",
    "7": "conversation.left",
}
TYPES = frozenset(_TYPES.values())
_THROUGH = {
    "teambox": "teambox",
    "connector": "connector",
    "connectors": "connector",
    "flow": "flow",
    "flows": "flow",
    "smart replies": "smart_replies",
    "smart reply": "smart_replies",
}


def authenticate(request: Request, secrets: Secrets) -> None:
    """Raise Unauthenticated unless the URL carries a live secret."""
    in_url = [*request.path_secrets(), *request.query("token"), *request.query("secret")]
    require_secret(in_url, secrets)


def normalize(request: Request) -> list[NormalizedEvent]:
    """Return the one event; none for an empty test call.

    Raises:
        Malformed: `not_json`, `too_deep` or `unknown_shape`. The vendor's other webhooks have
            an unknown shape: they too number their events from 1, but carry `data`.
    """
    raw = raw_json.strip_bom(request.body)
    if not raw:
        return []
    body = raw_json.parse(raw)
    if type(body) is not dict or "data" in body or not {"event_id", "contact_id"} <= body.keys():
        raise Malformed("unknown_shape")
    number = identifier(body["event_id"])
    if number is None:
        raise Malformed("unknown_shape")
    event_type = _TYPES.get(number)
    return [
        NormalizedEvent(
            type=event_type or "unrecognized",
            detail="" if event_type else number,
            vendortype=number,
            time=from_epoch_s(body.get("timestamp")),
            data=_data(body, event_type),
            raw=raw,
            # "Kick Out All Users" sends one for each user, who is known by name alone, within
            # one second of the clock. All others are one person's act upon one contact.
            identity="delivery" if event_type == "conversation.left" else "element",
        )
    ]


def sign(body: bytes, secret: str) -> OutgoingRequest:
    """Return the delivery of body to a URL whose last path segment is the secret."""
    return OutgoingRequest(
        body=body, headers={"Content-Type": "application/json"}, path_secret=secret
    )


def _data(body: Mapping[str, Any], event_type: str | None) -> Data:
    user = actor("agent", body.get("user_id"), name=body.get("user"))
    specific: Data = {"actor": user if len(user) > 1 else {}}
    match event_type:
        case "conversation.assigned":
            specific["assignment"] = _assignment(body)
        case "conversation.left":
            remover = text(body.get("kicked_out_by"))
            is_system = (remover or "").lower() == "system"
            specific["actor"] = actor("system" if is_system else "agent", name=remover)
            specific["member"] = actor("agent", name=body.get("kicked_out_user"))
    return without_empty(
        contact=without_empty(
            id=identifier(body.get("contact_id")), phone=identifier(body.get("contact_mobile"))
        ),
        account=without_empty(id=identifier(body.get("project_id"))),
        channel=without_empty(id=identifier(body.get("channel"))),
        **specific,
    )


def _assignment(body: Mapping[str, Any]) -> Data:
    # Only "Manual Assign" is published, not the words for a forced assignment.
    mode = (text(body.get("assign_type")) or "").lower()
    through = (text(body.get("assigned_through")) or "").lower()
    return without_empty(
        to=actor("agent", body.get("assigned_to_userid"), name=body.get("assigned_to")),
        mode="manual" if "manual" in mode else "forced" if "force" in mode else None,
        through=_THROUGH.get(through),
        via=text(body.get("connector_name")) or text(body.get("flow_name")),
    )
