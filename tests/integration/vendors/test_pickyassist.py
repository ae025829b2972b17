"""What Picky Assist is answered, which shows JSON answers to customers as replies."""

import orjson
import pytest

from tests.integration.conftest import Start, source

SECRET = "s3cret-of-the-url"
MESSAGE = b'{"number":"614","message-in":"Hi+there","type":1,"unique-id":"7","direction":0}'
TEAMBOX = b'{"event_id":"2","contact_id":"20","user":"Nandu","user_id":501640}'
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("body", [MESSAGE, TEAMBOX], ids=["message", "teambox"])
@pytest.mark.parametrize(
    "content_type", [FORM, f"{FORM}; charset=UTF-8", "text/plain", "multipart/form-data", "x"]
)
async def test_json_is_understood_whatever_its_content_type(
    start: Start, body: bytes, content_type: str
) -> None:
    relay = await start(source("pickyassist", SECRET))

    answer = await relay.post(
        f"/in/pickyassist/{SECRET}", body, headers={"Content-Type": content_type}
    )

    (row,) = await relay.stored()
    assert answer.status == 200
    assert orjson.loads(answer.body) == {"status": "accepted", "events": [row.message.id]}
    assert orjson.loads(row.message.body)["data"]["raw"] == orjson.loads(body)


@pytest.mark.parametrize(
    ("body", "members"),
    [
        (MESSAGE, {"status", "events"}),
        (TEAMBOX, {"status", "events"}),
        (b'{"message-in":["Hi+there"]}', {"status", "events"}),
        (b'{"event_id":1,"data":[{"message":"Hi there"}]}', {"status", "reason", "id"}),
        (b"message-in=Hi+there&message-out=Hi+there", {"status", "reason", "id"}),
        (b"", {"status", "events"}),
    ],
)
async def test_the_answer_holds_nothing_that_could_be_taken_for_a_reply(
    start: Start, body: bytes, members: set[str]
) -> None:
    relay = await start(source("pickyassist", SECRET))

    answer = await relay.post(f"/in/pickyassist/{SECRET}", body)

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert orjson.loads(answer.body).keys() == members
    assert b"there" not in answer.body


async def test_a_secret_that_comes_back_in_the_body_is_not_stored(start: Start) -> None:
    relay = await start(source("pickyassist", SECRET))
    understood = MESSAGE.replace(b"}", b',"token":"%b"}' % SECRET.encode())
    odd = b'{"event_id":1,"data":[],"token":"%b"}' % SECRET.encode()

    for body in (understood, odd):
        answer = await relay.post(f"/in/pickyassist?token={SECRET}", body)
        assert answer.status == 200

    message, quarantined = [row.message for row in await relay.stored()]
    assert orjson.loads(message.body)["data"]["raw"] == orjson.loads(MESSAGE)
    assert quarantined.is_quarantined
    assert SECRET.encode() not in message.body + quarantined.body
