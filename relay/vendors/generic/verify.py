"""Makes the rule by which a sender proves who it is out of the table `verify`. Pure."""

import base64
import re
from hashlib import new as new_digest
from typing import Any, cast
from urllib.parse import urlsplit

from relay.events.json_pointers import Steps, parse_pointer
from relay.vendors.generic.form_signatures import FormRule, signed_urls
from relay.vendors.generic.keys import KEY_KINDS
from relay.vendors.generic.options import OptionTable
from relay.vendors.generic.signatures import ENCODINGS, Encoding, SignatureRule
from relay.vendors.generic.standard_webhooks import StandardWebhooksRule
from relay.vendors.generic.templates import SignedTemplate, parse_template, split_pattern
from relay.vendors.generic.timestamp_notations import NOTATIONS, Notation
from relay.vendors.generic.tokens import TokenRule

KINDS = ("hmac", "digest", "token", "standard-webhooks", "twilio", "public_key")
HMAC_ALGORITHMS = ("sha256", "sha1", "sha512")
PUBLIC_KEY_ALGORITHMS = ("ed25519", "rsa-sha256")
PREFIX = re.compile(r"[A-Za-z0-9-]{1,64}")
Rule = SignatureRule | TokenRule | StandardWebhooksRule | FormRule

_PLACES = ("header", "query", "path", "body", "bearer", "basic")
_DEFAULT_TOLERANCE_S = 300
MAX_TOLERANCE_S = 86_400
_ED25519_BYTES = 64


def read_rule(table: OptionTable) -> Rule | None:
    """Return the rule that the table describes; None if it can't be read, as its problems say."""
    kind = table.choice("kind", KINDS)
    rule: Rule | None = None
    match kind:
        case "hmac" | "digest" | "public_key":
            rule = _signature_rule(table, kind)
        case "token":
            rule = _token_rule(table)
        case "standard-webhooks":
            rule = _standard_rule(table)
        case "twilio":
            rule = FormRule(public_urls=signed_urls(_public_url(table)))
        case _:
            if "kind" not in table:
                table.problem("kind", f"it is missing; it is one of {', '.join(KINDS)}")
            return None
    table.refuse_others()
    return rule


def _signature_rule(table: OptionTable, kind: str) -> SignatureRule:
    algorithms = PUBLIC_KEY_ALGORITHMS if kind == "public_key" else HMAC_ALGORITHMS
    algorithm = table.choice("algorithm", algorithms, algorithms[0])
    encoding = cast("Encoding", table.choice("encoding", ENCODINGS, "hex"))
    signed = _signed(table)
    value = _pattern(table, "value", "signature")
    separator = table.text("separator")
    rule = SignatureRule(
        algorithm=algorithm,
        key=_key(table, kind),
        is_digest=kind == "digest",
        signed=signed,
        header=table.required_header("header", "the header that holds the signature"),
        value=value,
        pattern=_signature_pattern(value, algorithm, encoding),
        separator=separator,
        encoding=encoding,
        public_url=_public_url(table) if "url" in signed.fields else "",
        **_timestamp_options(table, signed, separator),
        id_header=_id_header(table, signed),
    )
    if "public_url" in table and "url" not in signed.fields:
        table.text("public_url")
        table.problem("public_url", "signed has no {url}, so nothing needs it; remove it")
    return rule


def _key(table: OptionTable, kind: str) -> str:
    if kind == "public_key":
        return ""
    return table.choice("key", KEY_KINDS, "utf8") if kind == "hmac" else "utf8"


def _signed(table: OptionTable) -> SignedTemplate:
    try:
        return parse_template(table.text("signed", "{body}"))
    except ValueError as error:
        table.problem("signed", str(error))
        return parse_template("{body}")


def _pattern(table: OptionTable, key: str, field: str) -> tuple[str, str]:
    try:
        return split_pattern(table.text(key, f"{{{field}}}"), field)
    except ValueError as error:
        table.problem(key, str(error))
        return "", ""


def _signature_pattern(
    value: tuple[str, str], algorithm: str, encoding: Encoding
) -> re.Pattern[str]:
    """Return what a signature looks like: its length is that of the digest, or of the key."""
    before, behind = map(re.escape, value)
    if algorithm == "rsa-sha256":
        digits = "[0-9a-f]{512,2048}" if encoding == "hex" else "[A-Za-z0-9+/]{342,1366}={0,2}"
    else:
        is_key = algorithm == "ed25519"
        digest = None if is_key else new_digest(algorithm, usedforsecurity=False)
        size = digest.digest_size if digest else _ED25519_BYTES
        encoded = base64.b64encode(bytes(size)).decode()
        padding = "=" * encoded.count("=")
        base64_digits = f"[A-Za-z0-9+/]{{{len(encoded) - len(padding)}}}{padding}"
        digits = f"[0-9a-f]{{{2 * size}}}" if encoding == "hex" else base64_digits
    return re.compile(f"{before}({digits}){behind}")


def _timestamp_options(
    table: OptionTable, signed: SignedTemplate, separator: str
) -> dict[str, Any]:
    field, header = table.text("timestamp_field"), table.header("timestamp_header")
    notation = cast("Notation", table.choice("timestamp", NOTATIONS, "unix"))
    is_signed, has_place = "timestamp" in signed.fields, bool(field or header)
    if field and header:
        table.problem("timestamp_field", "timestamp_header says another place; remove one of them")
    if field and not separator:
        table.problem("timestamp_field", "the header has no parts; set separator, too")
    if is_signed and not has_place:
        places = "timestamp_field or timestamp_header"
        table.problem("signed", f"{places} must say where {{timestamp}} is")
    if has_place and not is_signed:
        name = "timestamp_field" if field else "timestamp_header"
        table.problem(name, "signed has no {timestamp}, so it proves nothing; remove it")
    default_s = _DEFAULT_TOLERANCE_S if is_signed else 0
    tolerance_s = table.integer("tolerance_s", default_s, MAX_TOLERANCE_S)
    if tolerance_s and not is_signed:
        unsigned = "signed has no {timestamp}, so anyone can change that"
        table.problem("tolerance_s", f"{unsigned}; remove it")
    return {
        "timestamp_field": field,
        "timestamp_header": header,
        "timestamp": notation,
        "tolerance_s": tolerance_s,
    }


def _id_header(table: OptionTable, signed: SignedTemplate) -> str:
    header = table.header("id_header")
    if "id" in signed.fields and not header:
        table.problem("signed", "id_header must say where {id} is")
    if header and "id" not in signed.fields:
        table.problem("id_header", "signed has no {id}, so it proves nothing; remove it")
    return header


def _public_url(table: OptionTable) -> str:
    """Return the URL as the sender knows it, without its query, which the request brings.

    It is "" where there is none.
    """
    url = table.required("public_url", "the URL that is entered at the sender, which signs it")
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        is_url = False
    if url and not is_url:
        table.problem("public_url", "it must be like https://hooks.example.com/in/name")
        return ""
    return url.partition("#")[0].partition("?")[0]


def _token_rule(table: OptionTable) -> TokenRule:
    header, query = table.header("header"), table.text("query")
    rule = TokenRule(
        header=header,
        value=_pattern(table, "value", "token"),
        query=query,
        is_in_path=table.flag("path"),
        body=_body_pointer(table),
        is_bearer=table.flag("bearer"),
        basic=table.text("username") if table.flag("basic") else None,
    )
    if "value" in table and not header:
        table.problem("value", "it is for header alone; remove it")
    if "username" in table and rule.basic is None:
        table.text("username")
        table.problem("username", "it is for basic = true alone; remove it")
    if not any(place in table for place in _PLACES):
        *others, last = _PLACES
        table.problem("kind", f"a token has a place; set {', '.join(others)} or {last}")
    return rule


def _body_pointer(table: OptionTable) -> Steps | None:
    pointer = table.text("body")
    try:
        return parse_pointer(pointer) if pointer else None
    except ValueError as error:
        table.problem("body", str(error))
        return None


def _standard_rule(table: OptionTable) -> StandardWebhooksRule:
    prefix = table.text("prefix", "webhook")
    if not PREFIX.fullmatch(prefix):
        table.problem("prefix", "it is how the three headers begin, such as webhook")
    tolerance_s = table.integer("tolerance_s", _DEFAULT_TOLERANCE_S, MAX_TOLERANCE_S)
    shared, public = (
        _standard_version(prefix.lower(), tolerance_s, version, algorithm)
        for version, algorithm in (("v1", "sha256"), ("v1a", "ed25519"))
    )
    return StandardWebhooksRule(shared=shared, public=public)


def _standard_version(prefix: str, tolerance_s: int, version: str, algorithm: str) -> SignatureRule:
    value = (f"{version},", "")
    return SignatureRule(
        algorithm=algorithm,
        key="whsec" if algorithm == "sha256" else "",
        signed=parse_template("{id}.{timestamp}.{body}"),
        header=f"{prefix}-signature",
        value=value,
        pattern=_signature_pattern(value, algorithm, "base64"),
        separator=" ",
        encoding="base64",
        timestamp_field="",
        timestamp_header=f"{prefix}-timestamp",
        timestamp="unix",
        tolerance_s=tolerance_s,
        id_header=f"{prefix}-id",
        public_url="",
    )
