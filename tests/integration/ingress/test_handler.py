"""What an authenticated request is answered with over real HTTP, and what is in the outbox then."""

import aiohttp
import orjson
import pytest

from relay import vendors
from relay.ingress.request_context import split_path
from relay.vendors.kit.authentication import signature_of
from tests.integration.conftest import Start, source
from tests.support.rows import for_each_row

TEXT = vendors.samples("swiftsell")[1].read_bytes()
TOKEN = "s3cret-token"
AUTHORIZED = {"Authorization": TOKEN}


async def test_an_authenticated_delivery_is_stored_and_accepted(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN, name="acme"))

    answer = await relay.post("/in/acme", TEXT, headers=AUTHORIZED)

    (row,) = await relay.stored()
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert orjson.loads(answer.body) == {
        "status": "accepted",
        "events": [row.message.id],
        "token": TOKEN,
    }
    assert row.message.routing_key == "swiftsell.message.created.text"
    assert relay.counted("relay_requests_total", source="acme", status="200") == 1
    assert relay.counted("relay_events_total", vendor="swiftsell", type="message.created") == 1


async def test_a_vendor_without_echo_gets_no_token_back(start: Start) -> None:
    relay = await start(source("channeltalk", TOKEN))
    body = vendors.samples("channeltalk")[0].read_bytes()

    answer = await relay.post(f"/in/channeltalk?token={TOKEN}", body)

    assert set(orjson.loads(answer.body)) == {"status", "events"}


@pytest.mark.parametrize(
    "query", ["a=1?token={}", "a=1&b?token={}&c=2", "?token={}", "a=1%3Ftoken={}"]
)
async def test_a_token_behind_a_query_that_was_there_already_is_found(
    start: Start, query: str
) -> None:
    relay = await start(source("channeltalk", TOKEN))
    body = vendors.samples("channeltalk")[0].read_bytes()

    let_in = await relay.post(f"/in/channeltalk?{query.format(TOKEN)}", body)
    refused = await relay.post(f"/in/channeltalk?{query.format('another')}", body)

    assert (let_in.status, refused.status) == (200, 401)
    assert len(await relay.stored()) == 1


async def test_events_of_one_delivery_are_answered_in_order(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN))
    element = orjson.loads(TEXT)["events"][0]

    answer = await relay.post(
        "/in/swiftsell", orjson.dumps({"events": [element, element]}), headers=AUTHORIZED
    )

    ids = orjson.loads(answer.body)["events"]
    assert ids == [row.message.id for row in await relay.stored()]
    assert len(set(ids)) == 2


@pytest.mark.parametrize("padding", [0, 70_000], ids=["small", "large"])
async def test_equal_deliveries_that_nothing_tells_apart_are_stored_as_two_events(
    start: Start, padding: int
) -> None:
    relay = await start(source("acquire", TOKEN))
    said = orjson.dumps({"event": "CHAT_ON_MESSAGE", "id": 7, "message": {"msg": "ok"}})
    body = said + b" " * padding
    headers = {"x-acquire-signature": signature_of(body, TOKEN)}

    answers = [await relay.post("/in/acquire", body, headers=headers) for _ in range(2)]

    ids = [event_id for answer in answers for event_id in orjson.loads(answer.body)["events"]]
    assert ids == [row.message.id for row in await relay.stored()]
    assert len(set(ids)) == 2


async def test_an_entity_that_comes_again_with_other_company_has_the_same_id(start: Start) -> None:
    relay = await start(source("channeltalk", TOKEN))
    entity = {"id": "m1", "version": 1, "plainText": "ok"}
    bodies = [
        orjson.dumps({"type": "message", "event": "push", "entity": entity, "refers": refers})
        for refers in ({}, {"user": {"id": "u1"}})
    ]

    answers = [await relay.post(f"/in/channeltalk?token={TOKEN}", body) for body in bodies]

    first, again = (orjson.loads(answer.body)["events"] for answer in answers)
    assert first == again


HANDSHAKES = [
    (b'{"token":"%s"}', "application/json", {"token": TOKEN}),
    (b'{"token":"%s","events":[]}', "application/json", {"token": TOKEN}),
    (b'"%s"', "application/json", {"token": TOKEN}),
    (b"token=%s", "application/x-www-form-urlencoded", {"token": TOKEN}),
    (b"%s", "text/plain", TOKEN),
]


@pytest.mark.parametrize(("body", "content_type", "expected"), HANDSHAKES)
async def test_a_handshake_gets_its_token_back_and_stores_nothing(
    start: Start, body: bytes, content_type: str, expected: object
) -> None:
    relay = await start(source("swiftsell", "old-token", TOKEN))

    answer = await relay.post(
        "/in/swiftsell", body % TOKEN.encode(), headers={"Content-Type": content_type}
    )

    assert answer.status == 200
    got = answer.body.decode() if expected == TOKEN else orjson.loads(answer.body)
    assert got == expected
    assert await relay.stored() == []
    assert relay.counted("relay_handshakes_total", source="swiftsell") == 1


@pytest.mark.parametrize("place", ["header", "query", "path", "bearer"])
async def test_an_empty_handshake_outside_the_body_gets_its_token_back(
    start: Start, place: str
) -> None:
    relay = await start(source("supporthunt", TOKEN))
    path = {"query": f"?token={TOKEN}", "path": f"/{TOKEN}"}.get(place, "")
    headers = {"header": {"X-Token": TOKEN}, "bearer": {"Authorization": f"Bearer {TOKEN}"}}

    answer = await relay.post(f"/in/supporthunt{path}", headers=headers.get(place, {}))

    assert (answer.status, orjson.loads(answer.body)) == (200, {"token": TOKEN})
    assert await relay.stored() == []


@pytest.mark.parametrize(
    ("echo", "body", "expected"),
    [
        ("text", b'{"token":"%s"}', b"%s"),
        ("text", b'"%s"', b"%s"),
        ("mirror", b'{"token":"%s"}', b'{"token":"%s"}'),
        ("mirror", b'"%s"', b'"%s"'),
        ("mirror", b"%s", b"%s"),
        ("mirror", b"token=%s", b"token=%s"),
        ("json", b"token=%s", b'{"token":"%s"}'),
    ],
)
async def test_settings_choose_the_form_of_the_echo(
    start: Start, echo: str, body: bytes, expected: bytes
) -> None:
    relay = await start(source("swiftsell", TOKEN, echo=echo))

    answer = await relay.post("/in/swiftsell", body % TOKEN.encode())

    assert (answer.status, answer.body) == (200, expected % TOKEN.encode())


async def test_an_empty_authenticated_call_stores_nothing(start: Start) -> None:
    relay = await start(source("pickyassist", TOKEN))

    answer = await relay.post(f"/in/pickyassist/{TOKEN}")

    assert (answer.status, orjson.loads(answer.body)) == (
        200,
        {"status": "accepted", "events": []},
    )
    assert await relay.stored() == []


@for_each_row(
    ("target", "expected"),
    [
        ("http://relay.example/in/a", ("a", None)),
        ("HTTPS://[::1]:8080/in/a/b%2Fc?d=/in/e", ("a", "b/c")),
        ("http://relay.example", ("", None)),
        ("http://relay.example?x", ("", None)),
        ("ftp://relay.example/in/a", ("", None)),
        ("relay.example:443", ("", None)),
        ("//relay.example/in/a", ("", None)),
    ],
)
def test_the_target_of_a_request_may_have_the_absolute_form(
    target: str, expected: tuple[str, str | None]
) -> None:
    assert split_path(target) == expected


@pytest.mark.parametrize("vendor", ["pickyassist", "swiftsell"])
@pytest.mark.parametrize(
    ("rest", "status"),
    [
        ("?token=ab+cd/ef==", 200),
        ("?token=ab%2Bcd%2Fef%3D%3D", 200),
        ("/?token=ab+cd/ef==", 200),
        ("/ab+cd/ef==", 200),
        ("/ab+cd/ef==/", 200),
        ("/ab%2Bcd%2Fef%3D%3D", 200),
        ("/ab%2Bcd%2Fef%3D%3D/", 200),
        ("/", 401),
        ("//", 401),
        ("/ab+cd", 401),
        ("/ab+cd/ef==//", 401),
        ("/x/ab+cd/ef==", 401),
        ("?token=ab+cd/ef", 401),
    ],
)
async def test_a_secret_in_the_url_may_stand_as_it_is(
    start: Start, vendor: str, rest: str, status: int
) -> None:
    relay = await start(source(vendor, "ab+cd/ef=="))
    url = aiohttp.client.URL(relay.url(f"/in/{vendor}{rest}"), encoded=True)

    async with relay.http.post(url, data=b"") as response:
        assert response.status == status


@pytest.mark.parametrize("sample", vendors.samples("acquire"), ids=lambda sample: sample.name)
async def test_what_is_not_understood_is_quarantined_byte_for_byte(
    start: Start, sample: vendors.Traversable
) -> None:
    relay = await start(source("acquire", TOKEN))
    body = sample.read_bytes() + b"\n,"  # no sample is JSON after this
    headers = {"X-Acquire-Signature": signature_of(body, TOKEN), "Cookie": "session=1"}

    answer = await relay.post("/in/acquire", body, headers=headers)

    (row,) = await relay.stored()
    assert orjson.loads(answer.body) == {
        "status": "quarantined",
        "reason": "not_json",
        "id": row.message.id,
    }
    assert answer.status == 200
    assert row.message.is_quarantined
    assert row.message.routing_key == "acquire.not_json"
    assert row.message.body == body


async def test_xml_of_a_signed_caller_is_quarantined(start: Start) -> None:
    relay = await start(source("acquire", TOKEN))
    body = b"<case><status>closed</status></case>"

    answer = await relay.post(
        "/in/acquire", body, headers={"X-Acquire-Signature": signature_of(body, TOKEN)}
    )

    assert orjson.loads(answer.body)["status"] == "quarantined"


async def test_a_token_in_a_quarantined_body_is_removed(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN))
    body = f"token={TOKEN}&unexpected=1".encode()

    answer = await relay.post("/in/swiftsell", body)

    (row,) = await relay.stored()
    assert orjson.loads(answer.body)["status"] == "quarantined"
    assert TOKEN.encode() not in row.message.body
    assert row.message.body == b"token=[secret removed]&unexpected=1"


async def test_an_unknown_event_type_is_accepted_under_its_own_name(start: Start) -> None:
    relay = await start(source("supporthunt", TOKEN))
    body = TEXT.replace(b'"type": "message"', b'"type": "sla_breached"', 1)

    answer = await relay.post("/in/supporthunt", body, headers=AUTHORIZED)

    (row,) = await relay.stored()
    assert answer.status == 200
    assert row.message.routing_key == "supporthunt.unrecognized.sla_breached"


async def test_an_insecure_source_takes_everything_and_echoes_nothing(start: Start) -> None:
    relay = await start(source("swiftsell"))

    handshake = await relay.post("/in/swiftsell", b'{"token":"anything"}')
    delivery = await relay.post("/in/swiftsell", TEXT)

    assert orjson.loads(handshake.body) == {"status": "accepted", "events": []}
    assert set(orjson.loads(delivery.body)) == {"status", "events"}


async def test_answers_carry_no_quick_reply_and_no_version(start: Start) -> None:
    relay = await start(source("channeltalk", TOKEN))

    answer = await relay.post(
        f"/in/channeltalk?token={TOKEN}", b"{}", headers={"X-Quick-Reply": "true"}
    )

    assert "x-quick-reply" not in answer.headers
    assert answer.headers["Server"] == "relay"


async def test_a_large_delivery_is_understood_like_a_small_one(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN), body_limit_bytes=5_000_000)
    element = orjson.loads(TEXT)["events"][0]
    body = orjson.dumps({"events": [element] * 1000})

    accepted = await relay.post("/in/swiftsell", body, headers=AUTHORIZED)
    refused = await relay.post("/in/swiftsell", body, headers={"Authorization": "wrong"})

    assert len(orjson.loads(accepted.body)["events"]) == 1000
    assert refused.status == 401


async def test_while_closing_each_answer_ends_its_connection(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN))
    relay.ingress.is_closing = True

    answer = await relay.post("/in/swiftsell", TEXT, headers=AUTHORIZED)

    assert (answer.status, answer.headers["Connection"]) == (200, "close")


async def test_a_vendor_type_never_becomes_a_label(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN))
    body = TEXT.replace(b'"type": "message"', b'"type": "made_up"', 1)

    await relay.post("/in/swiftsell", body, headers=AUTHORIZED)

    assert relay.counted("relay_events_total", vendor="swiftsell", type="unrecognized") == 1
