"""The headers, the media type and the proxy of an endpoint, as the settings give them."""

from typing import Any

import pytest
from pydantic import ValidationError

from consumers.forward.service import EndpointSettings
from tests.support.forwarding import NEW
from tests.support.rows import for_each


def settings(**fields: object) -> EndpointSettings:
    given: dict[str, Any] = {
        "url": "https://crm.example.com/hooks", "bindings": ["#"], "secrets": [NEW]
    }  # fmt: skip
    return EndpointSettings.model_validate(given | fields)


def test_without_them_nothing_changes() -> None:
    found = settings()

    assert (found.headers, found.proxy) == ({}, "")
    assert found.content_type == "application/cloudevents+json"


def test_values_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "s3cret")
    monkeypatch.setenv("PROXY", "http://user:pass@proxy:3128")

    found = settings(headers={"X-API-Key": "env:KEY", "X-B": "literal"}, proxy="env:PROXY")

    assert found.headers == {"X-API-Key": "s3cret", "X-B": "literal"}
    assert found.proxy == "http://user:pass@proxy:3128"
    assert "s3cret" not in repr(found)
    assert "pass" not in repr(found)


@for_each(
    headers=[
        {"webhook-id": "a"}, {"Webhook-Signature": "a"}, {"WEBHOOK-TIMESTAMP": "1"},
        {"content-type": "a/b"}, {"Content-Length": "3"}, {"Host": "a"}, {"a b": "c"}, {"": "c"},
        {"X-A": "s3cret\r\nX-B: 1"}, {"X-A": "s3cret\u20ac"}, {"X-A": "1", "x-a": "2"},
        {"X-A": "env:NOBODY_SET_THIS"}, {f"X-{number}": "1" for number in range(51)},
    ],
)  # fmt: skip
def test_headers_that_cannot_be_sent_are_a_problem_of_the_settings(
    headers: dict[str, str],
) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(headers=headers)

    assert caught.value.errors()[0]["loc"] == ("headers",)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("content_type", ["application/json", 'a/b; charset="utf-8"', "a/b;c=d"])
def test_a_media_type_may_have_parameters(content_type: str) -> None:
    assert settings(content_type=content_type).content_type == content_type


@pytest.mark.parametrize("content_type", ["", "json", "a/b\r\nX: 1", "a/b, c/d", "a/b;"])
def test_what_is_no_media_type_is_refused(content_type: str) -> None:
    with pytest.raises(ValidationError, match="it must be a media type"):
        settings(content_type=content_type)


@for_each(
    proxy=[
        "socks5://h:1",
        "h:3128",
        "http://",
        "http://u:secret@h:1/path",
        "http://u:secret@h:x",
        "/",
    ]
)
def test_what_is_no_proxy_is_refused_without_its_text(proxy: str) -> None:
    with pytest.raises(ValidationError, match="it must be http://host:port") as caught:
        settings(proxy=proxy)

    assert "secret" not in str(caught.value)
