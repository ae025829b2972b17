"""A template names fields of an event, and can do nothing but show them."""

import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.kit.event import Event, decode
from consumers.kit.testing import events
from consumers.notify.template import parse
from tests.support.rows import for_each_row

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


def event_of(**data: Any) -> Event:
    document = {"specversion": "1.0", "id": "1", "source": "/a/b", "type": "c", "data": data}
    return decode(orjson.dumps(document), routing_key="a.c")


def test_a_notification_shows_what_is_known_of_a_missed_chat() -> None:
    (event,) = events("pickyassist", "05")

    text = parse("A chat was missed: {contact.phone} on {vendor} by {data.actor.name}").render(
        event
    )

    assert text == "A chat was missed: 9194954xxxxx on pickyassist by Shanthi"


@for_each_row(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("{id} {type} {source}", "1 c /a/b"),
        ("{time}|{subject}|{vendor}", "—|—|—"),
        ("{conversation.id}", "—"),
        ("{message.text}", "&lt;!here&gt; Hi there"),
        ("{message.attachments.1.url}", "https://example.com/2"),
        ("{message.attachments.7.url}", "—"),
        ("{labels.0.id}, {labels.1.id}", "7, —"),
        ("{account.bot_id}", "8861"),
        ("{raw.is_new}/{raw.count}/{raw.rate}/{raw.nothing}", "yes/3/0.5/—"),
        ("{raw.deep.er.0.key}", "found"),
        ("{raw.deep}", "—"),
        ("{message}", "—"),
        ("{raw.count.below}", "—"),
        ("{{id}} }}{{", "{id} }{"),
        ("{{{id}}}", "{1}"),
        ("*{type}* <!channel>", "*c* <!channel>"),
    ],
)
def test_a_place_shows_its_field_or_a_dash(template: str, text: str) -> None:
    event = event_of(
        message={
            "text": "<!here>\nHi there",
            "attachments": [{"url": "https://example.com/1"}, {"url": "https://example.com/2"}],
        },
        labels=[{"id": "7"}],
        account={"bot_id": "8861"},
        raw={
            "is_new": True,
            "count": 3,
            "rate": 0.5,
            "nothing": None,
            "deep": {"er": [{"key": "found"}]},
        },
    )

    assert parse(template).render(event) == text


@for_each_row(
    ("template", "problem"),
    [
        ("", "it says nothing"),
        (" \n", "it says nothing"),
        ("{", "the { at character 1 stands alone"),
        ("a chat}", "the } at character 7 stands alone"),
        ("{contact.{id}}", "the { at character 1 stands alone"),
        ("{}", "instead of ''"),
        ("{ id }", "instead of ' id '"),
        ("{contct.name}", "instead of 'contct'"),
        ("{contact.nmae}", "instead of 'nmae' there are id, name, email, phone"),
        ("{contact.name!r}", "instead of 'name!r'"),
        ("{contact.name:>9999999999}", "instead of 'name:>9999999999'"),
        ("{contact.__class__}", "instead of '__class__'"),
        ("{contact[name]}", "instead of 'contact[name]'"),
        ("{contact.name.first}", "there is nothing below to name 'first'"),
        ("{id.x}", "instead of 'id'"),
        ("{labels.first}", "'first' should be a number"),
        ("{labels.0.name.x}", "there is nothing below to name 'x'"),
        ("{routing_key}", "instead of 'routing_key' there are id, source, type"),
    ],
)
def test_a_template_that_names_no_field_is_refused(template: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        parse(template)


@given(st.dictionaries(st.sampled_from(["contact", "message", "labels", "raw"]), JSON))
def test_no_event_can_break_a_template(data: dict[str, Any]) -> None:
    template = parse("{contact.name}{message.attachments.0.url}{labels.1.id}{raw.a.0}{account.id}")

    assert template.render(event_of(**data))
