"""What WotNot's callers can do without a token, and that a token goes no further than here."""

import time

import pytest

from relay import vendors
from relay.errors import Unauthenticated
from relay.events.message import Origin
from relay.ingress.processing import Source, process_delivery
from relay.vendors import swiftsell
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request
from tests.support.rows import for_each_row

ORIGIN = Origin(vendor="swiftsell", source="acme")
MULTIPART = "multipart/form-data; boundary=b0"


def form(body: str, content_type: str = MULTIPART) -> Request:
    return Request(body=body.encode(), headers={"content-type": content_type})


@pytest.mark.parametrize(
    "request_",
    [
        form("x", "multipart/form-data; token *"),
        form("--b0\r\nContent-Disposition: form-data; name *\r\n\r\nx\r\n--b0--"),
        form(f"--b0\r\nContent-Disposition: form-data; {'(' * 1000}\r\n\r\nx"),
        form(
            "--b0\r\n"
            + "".join(
                f"Content-Type: multipart/x; boundary=b{i}\r\n\r\n--b{i}\r\n"
                for i in range(1, 1200)
            ),
        ),
        form("", "multipart/form-data; boundary=" + "(" * 5000),
    ],
    ids=["parameter of the header", "parameter of a part", "comments", "nesting", "in the header"],
)
def test_a_hostile_form_is_refused_like_any_other(request_: Request) -> None:
    with pytest.raises(Unauthenticated):
        swiftsell.authenticate(request_, Secrets(["tok-1"]))


@pytest.mark.parametrize(
    "part",
    [
        "Content-Disposition: form-data; name=token; x=" + '"' * 60_000,
        "content-disposition:" * 3_000,
        "content-disposition: ; " * 2_700,
        "--b0" * 15_000,
    ],
    ids=["quotes", "names", "half names", "boundaries"],
)
def test_a_hostile_form_keeps_nobody_waiting(part: str) -> None:
    started_s = time.process_time()

    with pytest.raises(Unauthenticated):
        swiftsell.authenticate(form(f"--b0\r\n{part}\r\n\r\nx\r\n--b0--"), Secrets(["tok-1"]))

    assert time.process_time() - started_s < 0.5


@for_each_row(
    ("token", "spelling", "body"),
    [
        ("tok-1", b"tok-1", b'{"token":"tok-1","events":[{"event":{"type":"note"}}]}'),
        ("tok-1", b"tok-1", b'{"events":[{"token":"tok-1","event":{"type":"note"}}]}'),
        ("tok-1", b"tok-1", b'{"events":[{"event":{"type":"a"}, "token" :"tok-1"}],"x":1}'),
        ("tok-1", b"tok-1", b'{"events":[{"\\u0074oken":"tok-1","event":{"type":"a"}}]}'),
        ("tok-1", b"tok-1", b'{"events":[{"\\u0074oken":"tok-1","event":{"type":"a"}}],"x":1}'),
        ("tok-1", b"tok-1", b'{"token":"tok-1","events":[{"a":1}]}'),
        ("tok-1", b"tok-1", b"a=1&token=tok-1"),
        ("a/b==", b"a\\/b==", b'{"token":"a\\/b==","events":[{"a":1}]}'),
        ("\u00e9", b"\\u00e9", b'{"token":"\\u00e9","events":[{"a":1}]}'),
        ("tok-1", b"\\u006f", b'{"token":"t\\u006fk-1","events":[{"a":1}]}'),
        ("a/b==", b"a%2Fb%3D%3D", b"a=1&token=a%2Fb%3D%3D"),
    ],
)
def test_a_token_of_the_body_is_in_nothing_that_is_kept(
    token: str, spelling: bytes, body: bytes
) -> None:
    assert spelling in body

    source = Source(origin=ORIGIN, vendor=vendors.discover()["swiftsell"], secrets=Secrets([token]))

    found = process_delivery(Request(body=body), source, 1.5, "d1")

    assert found.messages
    for message in found.messages:
        assert spelling not in message.routing_key.encode() + message.properties + message.body
