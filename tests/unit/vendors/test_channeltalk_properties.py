"""Whatever type a field of Channel Talk's has, the event is one, and as its schema says."""

import json
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from relay import vendors
from relay.events.envelope import encode_events
from relay.events.message import Origin
from relay.vendors import channeltalk
from relay.vendors.kit.request import Request
from tests.unit.events.documents import VALIDATORS, undocumented
from tests.unit.vendors.test_vendor_properties import check_data, values

ACTIONS = [
    *("close", "autoOpen", "assign", "unassign", "assignTeam", "join", "invite", "leave", "remove"),
    *("miss", "snooze", "addTags", "removeTags", "share", "new", ""),
]


def known(value: Any) -> st.SearchStrategy[Any]:
    """Return the right value more often than any other."""
    right = st.just(value)
    return st.one_of(right, right, right, values)


def holding(**fields: Any) -> st.SearchStrategy[Any]:
    """Return an object of some of the fields, now and then something else."""
    optional = {
        name: field if isinstance(field, st.SearchStrategy) else known(field)
        for name, field in fields.items()
    }
    objects = st.fixed_dictionaries({}, optional=optional)
    return st.one_of(objects, objects, objects, values)


TAGS = st.lists(st.sampled_from(["9", 13, "vip", {"id": "9"}, {"name": "vip"}, None]), max_size=3)
PROFILE = holding(name="Ann", email="a@n.example", mobileNumber="+821", landlineNumber="+822")
PERSON = holding(id="u9", name="Ann", email="a@n.example", mobileNumber="+823", profile=PROFILE)
CHAT = {
    "id": "c9",
    "channelId": "7",
    "userId": "u9",
    "name": "Ann",
    "state": "opened",
    "assigneeId": "m9",
    "teamId": 13,
    "mediumType": "app",
    "contactMediumType": "appKakao",
    "openedAt": 5000,
    "firstOpenedAt": st.sampled_from([1000, 5000, None]),
}
BLOCK = holding(type=st.sampled_from(["text", "code", "bullets"]), value="<b>a</b> &lt;")
FILE = holding(id="f", key="k", url="https://a/1", name="a", contentType="a/b", size=5)
INPUT = holding(label="a", bindingKey="b", type="text", dataType="string", value=values)
CALL = holding(state="missed", missedReason="noOperator")
ENTITY = holding(
    id="m1",
    version=st.integers(0, 3),
    createdAt=1_700_000_000_000,
    updatedAt=1_700_000_001_000,
    chatType=st.sampled_from(["userChat", "group", "directChat"]),
    chatId="c9",
    personType=st.sampled_from(["user", "manager", "bot"]),
    personId="m9",
    plainText="hi",
    blocks=st.lists(BLOCK, max_size=2) | values,
    files=st.lists(FILE, max_size=2) | values,
    file=FILE,
    log=holding(action=st.sampled_from(ACTIONS) | values, values=TAGS | values),
    form=holding(inputs=st.lists(INPUT, max_size=2) | values),
    meet=holding(state="ended", call=CALL),
    options=st.sampled_from([["private"], ["silent"], "private"]) | values,
    profile=PROFILE,
    **{name: field for name, field in CHAT.items() if name not in {"id", "channelId"}},
)
REFERS = holding(userChat=holding(**CHAT), user=PERSON, manager=PERSON, bot=PERSON)


@given(
    model=st.sampled_from(["message", "message", "Message", "userChat", "user", "meet"]),
    verb=st.sampled_from(["push", "push", "update", "upsert", "delete"]),
    entity=ENTITY.filter(lambda entity: isinstance(entity, dict)),
    refers=REFERS,
)
def test_a_field_of_the_wrong_type_is_left_out(
    model: str, verb: str, entity: dict[str, Any], refers: Any
) -> None:
    push = {"type": model, "event": verb, "entity": entity, "refers": refers}

    body = json.dumps(push).encode(errors="surrogatepass")

    events = channeltalk.normalize(Request(body=body))

    (message,) = encode_events(
        events,
        origin=Origin(vendor="channeltalk", source="acme"),
        received_at=1.5,
        delivery_id="d1",
    )
    document = orjson.loads(message.body)
    VALIDATORS[document["type"]].validate(document)
    assert list(undocumented(document)) == []
    assert document["type"] in vendors.types(vendors.discover()["channeltalk"])
    for name, value in events[0].data.items():
        check_data(value, name)
