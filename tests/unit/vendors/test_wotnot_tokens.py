"""WotNot, as Swiftsell and Support Hunt: where a token may travel, and that it goes no further."""

import json
from typing import Any

import pytest

from relay import vendors
from relay.errors import Unauthenticated
from relay.events.message import Origin
from relay.vendors import supporthunt, swiftsell
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Echo, Request
from tests.support.rows import for_each, for_each_row

TOKEN = "tok-1"
SECRETS = Secrets(["tok-2", TOKEN])
ORIGIN = Origin(vendor="swiftsell", source="acme")
NOTE = {"event": {"type": "note", "payload": {"note": "hi"}}, "conversation": {"key": "c1"}}
NOTES = json.dumps({"events": [NOTE]}).encode()

MULTIPART = {"content-type": "multipart/form-data; boundary=b0"}
QUOTED = 'Multipart/Form-Data; charset=utf-8; Boundary="b0"'
URLENCODED = {"content-type": "application/x-www-form-urlencoded"}


def form_part(name: str, value: str) -> str:
    return f'--b0\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'


def delivery(
    body: str | bytes | dict[str, Any] = "",
    headers: dict[str, str] | None = None,
    query: str = "",
    path: str | None = None,
) -> Request:
    if isinstance(body, dict):
        body = json.dumps(body)
    text = body.encode() if isinstance(body, str) else body
    return Request(body=text, headers=headers or {}, query_string=query, path_secret=path)


def forms(token: str) -> list[tuple[str, Request, str]]:
    """Return every place a token may be in: (name, request, shape of the echo)."""
    in_event = json.dumps({"events": [NOTE | {"token": token}]})
    form = form_part("token", token)
    return [
        ("object", delivery({"token": token}), "object"),
        ("object, no events", delivery({"token": token, "events": []}), "object"),
        ("object, null events", delivery({"events": None, "token": token}), "object"),
        ("object, other members", delivery({"a": 1, "token": token, "b": []}), "object"),
        (
            "object, BOM",
            delivery(b"\xef\xbb\xbf" + json.dumps({"token": token}).encode()),
            "object",
        ),
        ("beside events", delivery({"events": [NOTE], "token": token}), "object"),
        ("in an event", delivery(in_event), "object"),
        ("Authorization", delivery(headers={"authorization": token}), "object"),
        ("Bearer", delivery(headers={"authorization": f"Bearer {token}"}), "object"),
        ("bearer", delivery(headers={"authorization": f"bearer  {token}"}), "object"),
        ("Token", delivery(headers={"authorization": f"Token {token}"}), "object"),
        ("token", delivery("{}", headers={"token": token}), "object"),
        ("x-token", delivery(headers={"x-token": token}), "object"),
        ("x-auth-token", delivery(headers={"x-auth-token": token}), "object"),
        ("x-webhook-token", delivery(headers={"x-webhook-token": token}), "object"),
        ("x-api-key", delivery(headers={"x-api-key": token}), "object"),
        ("query", delivery(query=f"a=1&token={token}"), "object"),
        ("second in query", delivery(query=f"token=x&token={token}"), "object"),
        ("path", delivery(path=token), "object"),
        ("header over body", delivery("{}", {"x-token": "x", "authorization": token}), "object"),
        ("form", delivery(f"token={token}", URLENCODED), "form"),
        ("form, type not said", delivery(f"token={token}\n"), "form"),
        ("form, more fields", delivery(f"a=1&token={token}", URLENCODED), "object"),
        ("multipart", delivery(form + "--b0--\r\n", MULTIPART), "form"),
        ("multipart, quoted", delivery(form + "--b0--", {"content-type": QUOTED}), "form"),
        ("multipart, bare name", delivery(form.replace('"', ""), MULTIPART), "form"),
        ("multipart, more", delivery(form + form_part("a", "") + "--b0--", MULTIPART), "object"),
        ("bare", delivery(token), "text"),
        ("bare, line", delivery(f" {token}\r\n"), "text"),
        ("bare, BOM", delivery(b"\xef\xbb\xbf" + token.encode()), "text"),
        ("string", delivery(f'"{token}"'), "string"),
        (
            "string, escaped",
            delivery('"' + "".join(f"\\u{ord(c):04x}" for c in token) + '"'),
            "string",
        ),
    ]


@for_each_row(("place", "request_", "shape"), forms(TOKEN), vendor=[swiftsell, supporthunt])
def test_a_live_token_is_found_wherever_it_is(
    vendor: Any, place: str, request_: Request, shape: str
) -> None:
    echo = vendor.authenticate(request_, SECRETS)

    assert echo == Echo(token=TOKEN, shape=shape), place
    assert echo.is_handshake == (shape != "object")


@for_each_row(("place", "request_", "shape"), forms("tok-3"))
def test_a_wrong_token_is_refused_and_never_echoed(
    place: str, request_: Request, shape: str
) -> None:
    with pytest.raises(Unauthenticated) as caught:
        swiftsell.authenticate(request_, SECRETS)

    assert "tok-3" not in str(caught.value), f"{place}: {shape}"


@for_each(
    request_=[
        delivery(),
        delivery(NOTES),
        delivery({"Token": TOKEN}),
        delivery({"token": [TOKEN]}),
        delivery({"token": None}),
        delivery({"token": {"token": TOKEN}}),
        delivery(f'["{TOKEN}"]'),
        delivery({"events": [NOTE, NOTE | {"token": TOKEN}]}),
        delivery({"events": [{"event": {"token": TOKEN}}]}),
        delivery(headers={"authorization": f"Basic {TOKEN}"}),
        delivery(headers={"x-other": TOKEN}),
        delivery(query=f"Token={TOKEN}"),
        delivery(query=TOKEN),
        delivery("token=" + "&token=".join(["x"] * 64) + f"&token={TOKEN}", URLENCODED),
        delivery(form_part("other", TOKEN) + "--b0--", MULTIPART),
        delivery(form_part("token", "x").encode() + b"\xff--b0--", MULTIPART),
        delivery(form_part("token", "x").encode().replace(b"token", b"t\xff"), MULTIPART),
        delivery(form_part("token", "").encode().rstrip() + b"\xff\r\n--b0--", MULTIPART),
        delivery(form_part("token", TOKEN), {"content-type": "multipart/form-data"}),
        delivery(f"token={TOKEN}&a=" + "x" * 70_000, URLENCODED),
        delivery(f'{{"token": "{TOKEN}"'),
        delivery("\udcff".encode(errors="surrogateescape") + TOKEN.encode()),
    ]
)
def test_a_token_in_no_known_place_is_refused(request_: Request) -> None:
    with pytest.raises(Unauthenticated):
        swiftsell.authenticate(request_, SECRETS)


def test_a_token_of_digits_alone_may_come_bare() -> None:
    request = delivery("12345")

    echo = swiftsell.authenticate(request, Secrets(["12345"]))

    assert echo == Echo(token="12345", shape="text")


@pytest.mark.parametrize(
    "body",
    [
        {"token": TOKEN},
        {"token": TOKEN, "events": []},
        {"events": None, "token": "", "a": {}},
        {"events": []},  # the token may be in a header
        {},
    ],
)
def test_a_handshake_holds_no_events(body: dict[str, Any]) -> None:
    events = swiftsell.normalize(delivery(body))

    assert events == []


def test_the_likeliest_handshake_is_an_object_with_the_token() -> None:
    call = vendors.handshake(swiftsell, TOKEN)

    assert call is not None
    assert json.loads(call.body) == {"token": TOKEN}
    assert (call.headers, call.query) == ({"Content-Type": "application/json"}, {})
