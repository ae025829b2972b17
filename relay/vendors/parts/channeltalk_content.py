"""What a message of Channel Talk holds: words, files, answers of a form, a call."""

from collections.abc import Iterator, Mapping
from typing import Any

from relay.events.event import Data
from relay.vendors.kit.fields import attachment, identifier, mapping, sequence, text, without_empty
from relay.vendors.kit.markup import without_markup

_CONTENTS = ("log", "form", "carousel", "buttons", "webPage", "email", "meet", "marketing")


def content(entity: Mapping[str, Any], action: str | None) -> Data:
    """Return the normalized message.

    Args:
        entity: of the delivery.
        action: of its log, or None if it has none.
    """
    words = text(entity.get("plainText")) or _text_of(sequence(entity.get("blocks")))
    words = words or text(entity.get("message"))  # until 2020
    message: Data = {"kind": _kind(entity, action, words)}
    if message_id := identifier(entity.get("id")):
        message["id"] = message_id
    if words:
        message["text"] = words
    if attachments := _attachments(entity):
        message["attachments"] = attachments
    if variables := list(_variables(entity, action)):
        message["variables"] = variables
    return message


def _kind(entity: Mapping[str, Any], action: str | None, words: str | None) -> str:
    """Return `text` if the message has any, else what it carries instead.

    A log is one, even beside words: they only tell what its action did.
    """
    if action:
        return "log"
    if words:
        return "text"
    if sequence(entity.get("files")) or mapping(entity.get("file")):
        return "file"
    return next((name for name in _CONTENTS if _is_filled(entity.get(name))), "unknown")


def _is_filled(value: object) -> bool:
    return bool(mapping(value) or sequence(value))


def _text_of(blocks: list[Any]) -> str | None:
    """Return the lines of blocks; a block of type `bullets` holds further blocks.

    Their text has markup, unlike `plainText`, and unlike code.
    """
    lines = []
    for block in map(mapping, blocks):
        line, nested = text(block.get("value")), sequence(block.get("blocks"))
        if line and block.get("type") != "code":
            line = without_markup(line)
        lines += [line, _text_of(nested) if nested else None]
    return "\n".join(filter(None, lines)) or None


def _attachments(entity: Mapping[str, Any]) -> list[Data]:
    """Return the files; until 2020 a message had one, with a URL and a `filename`."""
    files, file = sequence(entity.get("files")), mapping(entity.get("file"))
    if file:
        files = [*files, file]
    return list(filter(None, map(_attachment, files))) if files else []


def _attachment(value: object) -> Data:
    file = mapping(value)
    return attachment(
        url=file.get("url"),
        attachment_id=file.get("id"),
        key=file.get("key"),
        mime_type=text(file.get("contentType")) or file.get("type"),
        file_name=text(file.get("name")) or file.get("filename"),
        size_bytes=file.get("size"),
    )


def _variables(entity: Mapping[str, Any], action: str | None) -> Iterator[Data]:
    if action:
        yield {"name": "action", "value": action}
    if form := mapping(entity.get("form")):
        yield from filter(None, map(_answer, sequence(form.get("inputs"))))
    if meet := mapping(entity.get("meet")):
        yield from _call(meet)


def _answer(value: object) -> Data:
    """Return what was entered into a field of a form; nothing if nothing was."""
    field = mapping(value)
    if field.get("value") is None:
        return {}
    described = without_empty(
        name=text(field.get("label")) or text(field.get("bindingKey")),
        type=text(field.get("type")) or text(field.get("dataType")),
    )
    return described | {"value": field["value"]}


def _call(meet: Mapping[str, Any]) -> Iterator[Data]:
    call = mapping(meet.get("call"))
    for name, value in (
        ("state", meet.get("state")),
        ("callState", call.get("state")),
        ("missedReason", text(call.get("missedReason")) or meet.get("missedReason")),
    ):
        if text(value):
            yield {"name": name, "value": value}
