"""What the options of a source look like, as JSON Schemas for editors. Pure.

They name keys, kinds and ranges. What keys need each other is checked when the options are read.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from relay.vendors.generic.challenges import CHALLENGES
from relay.vendors.generic.keys import KEY_KINDS
from relay.vendors.generic.options import HEADER_NAME
from relay.vendors.generic.presets import PRESETS
from relay.vendors.generic.signatures import ENCODINGS
from relay.vendors.generic.timestamp_notations import NOTATIONS
from relay.vendors.generic.verify import (
    HMAC_ALGORITHMS,
    KINDS,
    MAX_TOLERANCE_S,
    PREFIX,
    PUBLIC_KEY_ALGORITHMS,
)

_Schema = dict[str, Any]

_TEXT: _Schema = {"type": "string", "minLength": 1}
_TEXTS: _Schema = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}
_FLAG: _Schema = {"type": "boolean"}


def _text_like(pattern: re.Pattern[str]) -> _Schema:
    return {"type": "string", "pattern": f"^{pattern.pattern}$"}


def _choice(choices: Iterable[str]) -> _Schema:
    return {"type": "string", "enum": list(choices)}


def _table(**properties: _Schema) -> _Schema:
    return {"type": "object", "additionalProperties": False, "properties": properties}


_HEADER = _text_like(HEADER_NAME)

OPTION_SCHEMAS: Mapping[str, _Schema] = {
    "preset": _choice(sorted(PRESETS)),
    "verify": _table(
        kind=_choice(KINDS),
        algorithm=_choice((*HMAC_ALGORITHMS, *PUBLIC_KEY_ALGORITHMS)),
        key=_choice(KEY_KINDS),
        signed=_TEXT,
        header=_HEADER,
        value=_TEXT,
        separator=_TEXT,
        encoding=_choice(ENCODINGS),
        timestamp_field=_TEXT,
        timestamp_header=_HEADER,
        timestamp=_choice(NOTATIONS),
        tolerance_s={"type": "integer", "minimum": 0, "maximum": MAX_TOLERANCE_S},
        id_header=_HEADER,
        public_url={"type": "string", "pattern": "^https?://"},
        prefix=_text_like(PREFIX),
        query=_TEXT,
        path=_FLAG,
        body={"type": "string", "pattern": "^/"},
        bearer=_FLAG,
        basic=_FLAG,
        username=_TEXT,
    ),
    "challenge": {
        "anyOf": [_choice(CHALLENGES), _table(kind=_choice(CHALLENGES), token=_TEXTS)],
    },
    "event": _table(type=_TEXTS, id=_TEXTS, time=_TEXTS, conversation=_TEXTS),
}
"""By the name of the option."""
