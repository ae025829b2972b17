"""What an endpoint's answer means: statuses and redirects."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from consumers.forward.response import DeliveryResult, ResultKind, redirect_target, result_of
from tests.support.rows import for_each, for_each_row

NOW = 784_111_777.5  # Sun, 06 Nov 1994 08:49:37 GMT, and a half


@for_each_row(
    ("kind", "statuses"),
    [
        (ResultKind.DELIVERED, [200, 201, 202, 204, 299]),
        (ResultKind.REJECTED, [400, 413, 415, 422]),
        (ResultKind.GONE, [410]),
        (ResultKind.DOWN, [429, 502, 503, 504, 521, 522, 523, 524]),
        (ResultKind.FAILED, [300, 301, 302, 303, 304, 399, 401, 402, 403, 404, 405, 408, 409]),
        (ResultKind.FAILED, [411, 418, 421, 425, 431, 451, 500, 501, 505, 520, 530, 599]),
    ],
)
def test_a_status_says_what_became_of_the_event(kind: ResultKind, statuses: list[int]) -> None:
    for status in statuses:
        assert result_of(status, None, now=NOW).kind is kind, status


@given(status=st.integers(200, 599))
def test_nothing_but_2xx_is_delivered(status: int) -> None:
    result = result_of(status, None, now=NOW)

    assert (result.kind is ResultKind.DELIVERED) == (status // 100 == 2)
    assert result.reason.startswith(f"answered {status}")


def test_the_reason_has_our_own_words_for_a_status() -> None:
    assert result_of(503, None, now=NOW).reason == "answered 503 Service Unavailable"
    assert result_of(521, None, now=NOW).reason == "answered 521"


@pytest.mark.parametrize("status", [429, 502, 503, 504, 522])
def test_who_is_down_may_say_for_how_long(status: int) -> None:
    assert result_of(status, "120", now=NOW).retry_after_s == 120


@for_each(status=[200, 400, 401, 404, 410, 500])
def test_who_is_up_is_not_paused_whatever_it_says(status: int) -> None:
    # An event that breaks the endpoint each time would otherwise never use up its attempts.
    assert result_of(status, "120", now=NOW).retry_after_s is None


@for_each_row(
    ("url", "location", "target"),
    [
        ("https://a/x", "https://b/y?z=1", "https://b/y?z=1"),
        ("https://a/x", "/y", "https://a/y"),
        ("https://a/x/", "y", "https://a/x/y"),
        ("https://a/x", "//b/y", "https://b/y"),
        ("http://a/x", "https://a/x", "https://a/x"),
        ("http://a/x", "http://b/x", "http://b/x"),
        ("https://a/x", "HTTPS://B/", "https://b/"),
    ],
)
def test_a_redirect_leads_to_an_address(url: str, location: str, target: str) -> None:
    assert redirect_target(URL(url), location) == URL(target)


@for_each_row(
    ("location", "reason"),
    [
        (None, "redirected to no http or https URL"),
        ("", "redirected to no http or https URL"),
        ("ftp://b/", "redirected to no http or https URL"),
        ("file:///etc/passwd", "redirected to no http or https URL"),
        ("https://b:99999/", "redirected to no http or https URL"),
        ("https://[::1/", "redirected to no http or https URL"),
        ("http://a/x", "redirected from https to http"),
        ("https://user@b/", "redirected to a URL with a user name"),
        ("https://:token@b/", "redirected to a URL with a user name"),
    ],
)
def test_a_redirect_elsewhere_is_not_followed_nor_shown(location: str | None, reason: str) -> None:
    result = redirect_target(URL("https://a/x"), location)

    assert result == DeliveryResult(kind=ResultKind.FAILED, reason=reason)


pieces = st.sampled_from(
    ["http", "https", ":", "//", "/", "@", "[", "]", "\\", "%", "..", "\udcff"]
)


@given(location=st.lists(pieces | st.text(max_size=3), max_size=10).map("".join))
def test_no_redirect_ever_leaves_https(location: str) -> None:
    target = redirect_target(URL("https://a/x"), location)

    if isinstance(target, URL):
        assert target.scheme == "https"
        assert target.host
        assert target.user is None
    else:
        assert target.kind is ResultKind.FAILED
