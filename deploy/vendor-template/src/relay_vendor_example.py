"""Example Chat webhooks. Link the vendor's page on signatures here."""

from relay.errors import Malformed
from relay.events.event import NormalizedEvent
from relay.events.timestamps import from_epoch_s
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import Secrets, require_signature, signature_of
from relay.vendors.kit.fields import actor, identifier, mapping, text, without_empty
from relay.vendors.kit.request import OutgoingRequest, Request

SIGNATURE = "x-examplechat-signature"
TYPES = frozenset({"message.created"})


def authenticate(request: Request, secrets: Secrets) -> None:
    """Raise Unauthenticated unless one of secrets signed the body."""
    require_signature(request.headers.get(SIGNATURE), [request.body], secrets)


def normalize(request: Request) -> list[NormalizedEvent]:
    """Return the event, none for an empty test call; raise Malformed for anything else."""
    raw = raw_json.strip_bom(request.body)
    if not raw:
        return []
    body = mapping(raw_json.parse(raw))
    name = text(body.get("event"))
    if name is None:
        raise Malformed("unknown_shape")
    data = without_empty(
        conversation=without_empty(id=identifier(body.get("room"))),
        actor=actor("contact", body.get("from")),
    )
    event_type, detail = "unrecognized", name
    if name == "said":
        event_type, detail = "message.created", "text"
        message_id = identifier(body.get("id"))
        data["message"] = without_empty(id=message_id, kind="text", text=text(body.get("text")))
    return [
        NormalizedEvent(
            type=event_type,
            detail=detail,
            vendortype=name,
            time=from_epoch_s(body.get("at")),
            data=data,
            raw=raw,
        )
    ]


def sign(body: bytes, secret: str) -> OutgoingRequest:
    """Return body as Example Chat would send it; `relay send` does."""
    headers = {"Content-Type": "application/json", SIGNATURE: signature_of(body, secret)}
    return OutgoingRequest(body=body, headers=headers)
