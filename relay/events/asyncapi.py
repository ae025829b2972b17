"""What the relay publishes, as an AsyncAPI 3 document. Pure, except that it reads the schemas.

https://www.asyncapi.com/docs/reference/specification/v3.0.0, with its AMQP bindings:
https://github.com/asyncapi/bindings/tree/master/amqp
"""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from relay.events import amqp, schemas, topology

Document = dict[str, Any]

_BINDING_VERSION = "0.3.0"
_DETAILED = {
    "message.created": "The kind of the message, such as `text`.",
    "received": "The sender's own word for the type.",
    "team_message.created": "The kind of the message, such as `text`.",
    "unrecognized": "The vendor's own word for the type.",
}
"""The types whose routing key ends with a detail, and what that is."""
_PORTS = {"amqp": 5672, "amqps": 5671}


def document(
    *,
    version: str,
    urls: Iterable[str],
    sources: Mapping[str, Mapping[str, Iterable[str]]],
    types: Mapping[str, Iterable[str]],
    headers: Iterable[str] = (),
) -> Document:
    """Return the document.

    Args:
        version: of the relay.
        urls: of the brokers; user and password are left out.
        sources: the names of the configured sources, by the exchange of their events and by
            vendor; first the relay's exchange, after which that of the quarantine is named.
        types: the types of events a vendor sends, by vendor.
        headers: names of the headers that stand for those of requests.
    """
    main, *_ = sources
    channels = {
        _channel_id(vendor, event_type, "" if exchange == main else exchange): _channel(
            vendor, event_type, exchange, f"From {', '.join(sorted(names))}."
        )
        for exchange, of_exchange in sources.items()
        for vendor, names in sorted(of_exchange.items())
        for event_type in sorted(types[vendor])
    }
    vendors = {vendor for of_exchange in sources.values() for vendor in of_exchange}
    channels["quarantine"] = _quarantine_channel(main, vendors)
    published = sorted({event_type for vendor in vendors for event_type in types[vendor]})
    messages = {event_type: _message(event_type, headers) for event_type in published}
    payloads = {event_type: _payload(event_type) for event_type in published}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "relay",
            "version": version,
            "description": "Webhooks of chat platforms as normalized events, at least once.",
        },
        "defaultContentType": amqp.CONTENT_TYPE,
        "servers": {f"broker-{number}": _server(url) for number, url in enumerate(urls, 1)},
        "channels": channels,
        "operations": {f"publish.{name}": _operation(name) for name in channels},
        "components": {
            "messages": messages | {"quarantined": _QUARANTINED},
            "schemas": payloads | _with_document_refs(schemas.shared()),
        },
    }


def _server(url: str) -> Document:
    parts = urlsplit(url)
    return {
        "host": f"{parts.hostname}:{parts.port or _PORTS[parts.scheme]}",
        "protocol": parts.scheme,
        "protocolVersion": "0.9.1",
        "pathname": "/" + unquote(parts.path.removeprefix("/")),
    }


def _channel_id(vendor: str, event_type: str, exchange: str) -> str:
    """Return an id made of `A-Za-z0-9._-`, as those of operations must be."""
    key = topology.routing_key(vendor, event_type)
    return f"{exchange.replace(':', '_')}.{key}" if exchange else key


def _channel(vendor: str, event_type: str, exchange: str, about: str) -> Document:
    key = topology.routing_key(vendor, event_type)
    channel: Document = {
        "address": key,
        "description": about,
        "messages": {event_type: {"$ref": f"#/components/messages/{event_type}"}},
        "bindings": _exchange_binding(exchange),
    }
    if event_type in _DETAILED:
        channel["address"] = f"{key}.{{detail}}"
        channel["parameters"] = {"detail": {"description": _DETAILED[event_type]}}
    return channel


def _quarantine_channel(exchange: str, vendors: Iterable[str]) -> Document:
    return {
        "address": "{vendor}.{reason}",
        "description": "Deliveries that were authenticated but not understood, for a person.",
        "parameters": {
            "vendor": {"enum": sorted(vendors)},
            "reason": {"description": "Why, such as `not_json`."},
        },
        "messages": {"quarantined": {"$ref": "#/components/messages/quarantined"}},
        "bindings": _exchange_binding(topology.quarantine_exchange(exchange)),
    }


def _exchange_binding(name: str) -> Document:
    exchange = {"name": name, "type": "topic", "durable": True, "autoDelete": False}
    return {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": _BINDING_VERSION}}


def _operation(channel: str) -> Document:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "bindings": {
            "amqp": {
                "deliveryMode": 2,  # persistent
                "mandatory": True,
                "timestamp": True,
                "bindingVersion": _BINDING_VERSION,
            }
        },
    }


def _message(event_type: str, headers: Iterable[str]) -> Document:
    of_request = {"type": "string", "description": "A header of the request."}
    return {
        "name": event_type,
        "title": schemas.schema(event_type)["title"],
        "contentType": amqp.CONTENT_TYPE,
        "headers": {
            "type": "object",
            "required": ["vendor", "source"],
            "properties": {
                "vendor": {"type": "string"},
                "source": {"type": "string", "description": "The configured source."},
                "traceparent": {"type": "string", "description": "W3C trace context."},
                **dict.fromkeys(headers, of_request),
            },
        },
        "payload": {"$ref": f"#/components/schemas/{event_type}"},
        "bindings": {
            "amqp": {"messageType": event_type, "bindingVersion": _BINDING_VERSION},
        },
    }


_QUARANTINED: Document = {
    "name": "quarantined",
    "title": "A delivery as it was received, without live secrets",
    "headers": {
        "type": "object",
        "required": ["vendor", "source", "reason", "content-type", "received_at", "headers"],
        "properties": {
            "vendor": {"type": "string"},
            "source": {"type": "string"},
            "reason": {"type": "string"},
            "content-type": {"type": "string"},
            "received_at": {"type": "string", "format": "date-time"},
            "headers": {"type": "object", "description": "Those of the request."},
        },
    },
    "payload": {"description": "The bytes received, of the type in `content-type`."},
    "bindings": {"amqp": {"messageType": "quarantined", "bindingVersion": _BINDING_VERSION}},
}


def _payload(event_type: str) -> Document:
    schema = schemas.schema(event_type)
    own = {keyword: value for keyword, value in schema.items() if not keyword.startswith("$")}
    payload: Document = _with_document_refs(own)
    return payload


def _with_document_refs(schema: Any) -> Any:
    """Return the schema with its references into `$defs` pointed at the document's components."""
    match schema:
        case {"$ref": str(name)}:
            return {"$ref": name.replace("#/$defs/", "#/components/schemas/")}
        case dict():
            return {keyword: _with_document_refs(value) for keyword, value in schema.items()}
        case list():
            return [_with_document_refs(value) for value in schema]
        case _:
            return schema
