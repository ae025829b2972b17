"""The JSON Schema of `relay.toml`, made from the settings' own classes.

It says what each key may be. What needs more than one key, a file or the environment is checked by
`relay check`.
"""

from collections.abc import Callable, Mapping
from typing import Any, get_args

from consumers.archive.service import ArchiveSettings
from consumers.forward.service import ForwardSettings
from consumers.kit import ConsumerSettings
from consumers.notify.service import NotifySettings
from relay import vendors
from relay.events.redaction_rules import MAX_POINTERS, Word
from relay.settings import Settings
from relay.settings_values import SOURCE_NAME

_Schema = dict[str, Any]

_DRAFT_2020_12 = "https://json-schema.org/draft/2020-12/schema"
_DRAFT_4 = "http://json-schema.org/draft-04/schema#"
_SERVICES = {"archive": ArchiveSettings, "forward": ForwardSettings, "notify": NotifySettings}
_LISTS_OF_ANYTHING = {"allow_from", "trusted_proxies"}
_NETWORK = {"type": "string", "pattern": r"^[0-9A-Fa-f:.]+(/[0-9.]{1,15})?$"}


def settings_schema() -> _Schema:
    """Return the schema in draft 2020-12."""
    definitions: _Schema = {}
    root = _schema_of(Settings, definitions)
    services = {name: _schema_of(kind, definitions) for name, kind in _SERVICES.items()}
    one_of_yours = _schema_of(ConsumerSettings, definitions)
    one_of_yours["additionalProperties"] = True  # a service may derive its settings from these
    root["properties"]["consumers"] = {
        "type": "object",
        "properties": services,
        "additionalProperties": one_of_yours,
    }
    _complete_source(definitions["SourceSettings"]["properties"])
    _complete_networks([root, *definitions.values()])
    root["properties"]["sources"] = {
        "type": "object",
        "patternProperties": {f"^{SOURCE_NAME.pattern}$": {"$ref": "#/$defs/SourceSettings"}},
        "additionalProperties": False,
    }
    return {"$schema": _DRAFT_2020_12, "title": "relay.toml", **root, "$defs": definitions}


def _schema_of(kind: Any, definitions: _Schema) -> _Schema:
    """Return the schema of a section, tidied up; put those it refers to into definitions."""
    schema: _Schema = _tidy(kind.model_json_schema())
    definitions |= schema.pop("$defs", {})
    return schema


def _tidy(schema: Any, *, are_names: bool = False) -> Any:
    """Return a schema without titles, and without null, which TOML does not have.

    Args:
        schema: or a part of it.
        are_names: whether its members are named by us, so that one called `title` stays.
    """
    if isinstance(schema, list):
        return [_tidy(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if are_names:
        return {name: _tidy(part) for name, part in schema.items()}
    tidy = {}
    for key, value in schema.items():
        if key == "title" or (key == "default" and value is None):
            continue
        if key == "description":
            tidy[key] = value.partition("\n")[0]
        elif key in {"default", "enum", "const"}:
            tidy[key] = value
        else:
            tidy[key] = _tidy(value, are_names=key in {"properties", "$defs"})
    if "anyOf" in tidy:
        branches = [branch for branch in tidy.pop("anyOf") if branch != {"type": "null"}]
        tidy |= branches[0] if len(branches) == 1 else {"anyOf": branches}
    return tidy


def _complete_source(properties: _Schema) -> None:
    """Add what the classes leave to code: vendors, words, the options of generic senders."""
    properties["vendor"]["enum"] = vendors.names()
    properties["redact"] = {
        "type": "object",
        "maxProperties": MAX_POINTERS,
        "patternProperties": {"^/.": {"type": "string", "enum": list(get_args(Word))}},
        "additionalProperties": False,
    }
    for name, schema in vendors.option_schemas().items():
        properties[name] = dict(schema)


def _complete_networks(sections: list[_Schema]) -> None:
    for section in sections:
        properties = section["properties"]
        for name in _LISTS_OF_ANYTHING & set(properties):
            properties[name]["items"] = _NETWORK
        if "allow_private" in properties:  # true, or networks
            properties["allow_private"] = {
                "anyOf": [{"type": "boolean"}, {"type": "array", "items": _NETWORK}],
                "default": False,
            }


def as_draft_4(schema: _Schema) -> _Schema:
    """Return a schema of ours in draft 4, which is all that Taplo, the editors' plugin, reads.

    See https://taplo.tamasfe.dev/configuration/developing-schemas.html and
    https://json-schema.org/draft-06/json-schema-release-notes for what differs.
    """
    found: _Schema = _to_draft_4(schema)
    return found | {"$schema": _DRAFT_4}


def _to_draft_4(schema: Any, *, are_names: bool = False) -> Any:
    if isinstance(schema, list):
        return [_to_draft_4(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if are_names:
        return {name: _to_draft_4(part) for name, part in schema.items()}
    if "$ref" in schema:  # nothing beside it counts
        return {"$ref": schema["$ref"].replace("#/$defs/", "#/definitions/")}
    older: _Schema = {}
    for key, value in schema.items():
        older |= _KEYWORDS.get(key, _same(key))(value)
    return older


def _same(key: str) -> Callable[[Any], _Schema]:
    are_names = key in {"properties", "patternProperties"}
    is_data = key in {"default", "enum"}
    return lambda value: {key: value if is_data else _to_draft_4(value, are_names=are_names)}


_KEYWORDS: Mapping[str, Callable[[Any], _Schema]] = {
    "$defs": lambda value: {"definitions": _to_draft_4(value, are_names=True)},
    "const": lambda value: {"enum": [value]},
    "exclusiveMinimum": lambda value: {"minimum": value, "exclusiveMinimum": True},
    "exclusiveMaximum": lambda value: {"maximum": value, "exclusiveMaximum": True},
}
"""What draft 4 says in another way."""
