"""Tokens: in one of the places that the settings name, and nowhere else."""

from typing import Any

from relay.vendors.kit.request import Request
from tests.support.generic_sources import generic_source, let_in, refused
from tests.support.rows import for_each_row

BODY = b'{"a": 1}'


PLACES = [
    ({"header": "X-Token"}, {"headers": {"x-token": "TOKEN"}}),
    ({"header": "X-Auth", "value": "Key {token};"}, {"headers": {"x-auth": "Key TOKEN;"}}),
    ({"query": "key"}, {"query_string": "a=b&key=TOKEN"}),
    ({"path": True}, {"path_secret": "TOKEN"}),
    ({"path": True}, {"path_secret": "TOKEN/"}),
    ({"bearer": True}, {"headers": {"authorization": "Bearer TOKEN"}}),
    ({"bearer": True}, {"headers": {"authorization": "bearer TOKEN"}}),
    ({"basic": True}, {"headers": {"authorization": "Basic OlRPS0VO"}}),
    ({"basic": True, "username": "u"}, {"headers": {"authorization": "Basic dTpUT0tFTg=="}}),
    ({"body": "/a/0/key"}, {"body": b'{"a": [{"key": "TOKEN"}]}'}),
    ({"body": "/a~1b"}, {"body": b'{"a/b": "TOKEN"}'}),
    ({"body": "/value/*/key"}, {"body": b'{"value": [{"key": "TOKEN"}, {"key": "TOKEN"}]}'}),
    (
        {"body": "/key"},
        {
            "body": b"a=b&key=TOKEN",
            "headers": {"content-type": "application/x-www-form-urlencoded; charset=utf-8"},
        },
    ),
    ({"header": "x-token", "query": "key"}, {"query_string": "key=TOKEN"}),
]


@for_each_row(("place", "sent"), PLACES)
def test_a_token_is_where_the_settings_say(place: dict[str, Any], sent: dict[str, Any]) -> None:
    source = generic_source("old", "TOKEN", verify={"kind": "token", **place})
    fields = {"body": BODY, "headers": {}} | sent

    assert let_in(source, Request(**fields))
    other = generic_source("TOKEN2", verify={"kind": "token", **place})
    assert refused(other, Request(**fields)) == "token_wrong"
    assert refused(source, Request(body=BODY)) == "token_missing"


@for_each_row(
    ("place", "sent"),
    [
        ({"header": "x-token"}, {"query_string": "x-token=TOKEN"}),
        ({"header": "x-token", "value": "Key {token}"}, {"headers": {"x-token": "TOKEN"}}),
        ({"query": "key"}, {"headers": {"key": "TOKEN"}}),
        ({"bearer": True}, {"headers": {"authorization": "Basic TOKEN"}}),
        ({"bearer": True}, {"headers": {"authorization": "TOKEN"}}),
        ({"basic": True, "username": "u"}, {"headers": {"authorization": "Basic OlRPS0VO"}}),
        ({"basic": True}, {"headers": {"authorization": "Basic \u00e9"}}),
        ({"body": "/key"}, {"body": b'{"key": ["TOKEN"]}'}),
        ({"body": "/key"}, {"body": b"TOKEN"}),
        ({"body": "/v/*/key"}, {"body": b'{"v": [{"key": "TOKEN"}, {"key": "x"}]}'}),
        ({"body": "/v/*/key"}, {"body": b'{"v": [{"key": "TOKEN"}, {}]}'}),
        ({"body": "/v/*/key"}, {"body": b'{"v": []}'}),
        ({"body": "/0"}, {"body": b'["TOKE' + b"N" * 1000}),
    ],
)
def test_a_token_elsewhere_lets_nobody_in(place: dict[str, Any], sent: dict[str, Any]) -> None:
    source = generic_source("TOKEN", verify={"kind": "token", **place})
    fields = {"body": BODY, "headers": {}} | sent

    assert refused(source, Request(**fields)) in {"token_missing", "token_wrong"}
