"""A live secret is found in every spelling, and nothing else is touched."""

import json
from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from relay.events.redaction import MARK, _spellings, holds_secret, redact
from tests.support.rows import for_each

SECRET = 'a/b c"é😀\\='
EVERY_BYTE = "".join(f"%{byte:02x}" for byte in SECRET.encode())
EVERY_UNIT = "".join(f"\\u{unit:04X}" for unit in memoryview(SECRET.encode("utf-16-le")).cast("H"))


@for_each(
    spelling=[
        SECRET,
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        json.dumps(SECRET)[1:-1].replace("/", "\\/"),  # as PHP writes it
        json.dumps(SECRET)[1:-1].upper().replace("\\U", "\\u").replace("A/B C", "a/b c"),
        EVERY_UNIT,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        quote(SECRET).lower(),
        EVERY_BYTE,
        EVERY_BYTE.upper(),
        '%61/b+c\\"\\u00e9\\uD83d\\ude00\\u005c%3d',
    ]
)
def test_a_secret_is_found_in_every_spelling(spelling: str) -> None:
    body = f'{{"token": "{spelling}", "x": 1}}'

    redacted = redact(body.encode(), ["other", SECRET])

    assert redacted == b'{"token": "' + MARK + b'", "x": 1}'
    assert holds_secret(f"/in/acme?token={spelling}&x", ["other", SECRET])


@for_each(text=["", "a/b", SECRET[:-1], SECRET.upper(), SECRET[1:], "a/b%2520c", "other", "\udcff"])
def test_what_is_not_the_secret_stays(text: str) -> None:
    body = text.encode(errors="replace")

    assert redact(body, [SECRET]) == body
    assert not holds_secret(text, [SECRET])


def test_every_secret_is_taken_out_wherever_it_stands() -> None:
    redacted = redact(b"one two, onetwo; \xffone\x00", ["one", "two"])

    assert redacted == MARK + b" " + MARK + b", " + MARK * 2 + b"; \xff" + MARK + b"\x00"


def test_characters_with_a_meaning_in_patterns_stand_for_themselves() -> None:
    secret = r".*+?^${}()|[]\d"

    assert redact(secret.encode() + b" aaa", [secret]) == MARK + b" aaa"
    assert redact(b"aaa", [secret]) == b"aaa"


def test_without_secrets_nothing_is_taken_out() -> None:
    assert redact(b"anything", []) == b"anything"
    assert not holds_secret("anything", [])


@given(
    secret=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=4, max_size=12),
    before=st.binary(max_size=20),
    after=st.binary(max_size=20),
    style=st.sampled_from([str, lambda text: json.dumps(text)[1:-1], quote, quote_plus]),
)
def test_no_body_keeps_a_secret(secret: str, before: bytes, after: bytes, style: object) -> None:
    spelled = style(secret).encode()  # type: ignore[operator]

    redacted = redact(before + spelled + after, [secret])

    assert spelled not in redacted or spelled in MARK
    assert len(redacted) >= len(MARK)


@for_each(count=[257, 300, 1000])
def test_what_is_looked_for_is_made_once_however_many_secrets_there_are(count: int) -> None:
    secrets = [f"secret-{number}-of-{count}" for number in range(count)]
    text = "a name that is longer than all of these"
    assert not holds_secret(text, secrets)
    made = _spellings.cache_info().misses

    assert not holds_secret(text, secrets)

    assert _spellings.cache_info().misses == made
