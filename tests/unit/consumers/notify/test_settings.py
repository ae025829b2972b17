"""The settings of notify: what is wrong is named at start, and the URLs stay secret."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from consumers.kit.settings import load
from consumers.kit.testing import events
from consumers.notify.service import NotifySettings, is_too_old
from relay.errors import SettingsError

pytestmark = pytest.mark.usefixtures("in_empty_directory")

SECRET_URL = "https://hooks.slack.example/services/T000/B000/s3cret"
RULE = f"""
[consumers.notify.rules.missed]
bindings = ["*.conversation.missed"]
url = "{SECRET_URL}"
template = "A chat was missed: {{contact.name}}"
"""

Written = Callable[[str], Path]


def problems_of(path: Path) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load("notify", NotifySettings, path)
    assert "s3cret" not in str(caught.value)
    return list(caught.value.problems)


def test_a_rule_is_all_that_is_needed(written: Written) -> None:
    _, settings = load("notify", NotifySettings, written(RULE))

    (rule,) = settings.rules.values()
    assert rule.bindings == ["*.conversation.missed"]
    assert rule.url == SECRET_URL
    assert settings.admin.port == 9093
    assert (settings.max_per_minute, settings.max_age_s) == (20, 3600)


def test_a_url_may_be_in_the_environment(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_WEBHOOK_URL", SECRET_URL)

    _, settings = load(
        "notify", NotifySettings, written(RULE.replace(SECRET_URL, "env:SLACK_WEBHOOK_URL"))
    )

    assert settings.rules["missed"].url == SECRET_URL


def test_a_url_is_never_shown(written: Written) -> None:
    _, settings = load("notify", NotifySettings, written(RULE))

    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        "env:NOT_SET_ANYWHERE",
        "",
        "s3cret",
        "ftp://example.com/s3cret",
        "https:///s3cret",
        "http://[s3cret",
        "https://example.com:s3cret/",
    ],
)
def test_a_url_that_is_none_is_a_problem_of_its_rule(url: str, written: Written) -> None:
    (problem,) = problems_of(written(RULE.replace(SECRET_URL, url)))

    assert problem.startswith("consumers.notify.rules.missed.url: ")


def test_all_problems_are_named_at_once(written: Written) -> None:
    path = written(
        """
        [consumers.notify]
        max_per_minute = 0
        max_age_s = -1
        colour = "red"
        [consumers.notify.rules.missed]
        bindings = []
        url = 7
        template = "{contct.name}"
        [consumers.notify.rules.closed]
        bindings = "*.conversation.closed"
        template = 3
        """
    )

    names = {problem.split(" ")[0].rstrip(":") for problem in problems_of(path)}

    assert names == {
        "consumers.notify.max_per_minute",
        "consumers.notify.max_age_s",
        "consumers.notify.colour",
        "consumers.notify.rules.missed.bindings",
        "consumers.notify.rules.missed.url",
        "consumers.notify.rules.missed.template",
        "consumers.notify.rules.closed.url",
        "consumers.notify.rules.closed.template",
    }


def test_a_wrong_template_is_reported_with_what_it_may_name(written: Written) -> None:
    (problem,) = problems_of(written(RULE.replace("contact.name", "contact.nmae")))

    assert problem == (
        "consumers.notify.rules.missed.template: {contact.nmae} is no field: "
        "instead of 'nmae' there are id, name, email, phone."
    )


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("rules.missed", 'rules."Missed chats"'), ("*.conversation.missed", "a" * 256)],
)
def test_a_rule_must_make_a_consumer(right: str, wrong: str, written: Written) -> None:
    (problem,) = problems_of(written(RULE.replace(right, wrong)))

    assert problem.startswith("consumers.notify.rules")


def test_notify_without_a_rule_is_a_problem(written: Written) -> None:
    assert problems_of(written("")) == ["consumers.notify.rules is missing."]


def test_a_handler_gets_the_time_its_message_may_take(written: Written) -> None:
    path = written("[consumers.notify]\nmax_per_minute = 1\n" + RULE)

    (problem,) = problems_of(path)

    assert problem == (
        "consumers.notify.timeout_s: with max_per_minute = 1 an event may wait 80 s, for the "
        "message under way and then its own; raise handler_timeout_s to that."
    )


@pytest.mark.parametrize(
    ("time", "age_limit_s", "is_old"),
    [
        ("2026-04-06T08:17:00Z", 3600, False),
        ("2026-04-06T08:16:00Z", 3600, True),
        ("2026-04-06T11:00:00+02:00", 3600, False),
        ("2020-01-01T00:00:00Z", 0, False),
        ("2027-01-01T00:00:00Z", 3600, False),
    ],
)
def test_an_event_is_too_old_once_its_time_is_past_the_limit(
    time: str, age_limit_s: int, *, is_old: bool
) -> None:
    event = replace(events("pickyassist", "05")[0], time=time)

    assert is_too_old(event, datetime(2026, 4, 6, 9, 16, 58, tzinfo=UTC), age_limit_s) is is_old


def test_an_old_chat_that_was_opened_again_is_news() -> None:
    (event,) = events("channeltalk", "userChat-push-reopened")

    created_at = datetime.fromisoformat(event.data["conversation"]["created_at"])
    assert event.type == "conversation.opened"
    assert is_too_old(event, created_at + timedelta(hours=29), 3600)
    assert not is_too_old(event, created_at + timedelta(hours=28), 3600)


def test_an_event_without_any_time_is_never_too_old() -> None:
    event = replace(events("pickyassist", "05")[0], time=None, recordedtime="")

    assert not is_too_old(event, datetime(2026, 4, 6, tzinfo=UTC), 1)
