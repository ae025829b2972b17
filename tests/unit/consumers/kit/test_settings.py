"""A service's settings: its own section, what it shares with the relay, and every problem told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from consumers.kit.settings import ConsumerSettings, load
from relay import settings as relay_settings
from relay.errors import SettingsError
from relay.settings_file import Section
from tests.support.rows import for_each_row

pytestmark = pytest.mark.usefixtures("in_empty_directory")

Written = Callable[[str], Path]
Environment = Callable[..., None]

DEFAULTS: dict[str, Any] = {
    "exchange": "",
    "prefetch": None,
    "concurrency": 16,
    "handler_timeout_s": 60,
    "retry_delays_s": [1, 10, 60, 600],
    "single_active": False,
    "dead_max_length": 1_000_000,
    "seen": "sqlite:var/seen.db",
    "seen_for_s": 604_800,
    "shutdown_grace_s": 20,
    "admin": {"host": "127.0.0.1", "port": 0},
}
TOO_MANY = (
    "consumers.crm-sync: with prefetch = 181 a message may wait longer than RabbitMQ's 1800 s; "
    "leave it out, or lower it to 180."
)


class Place(Section):
    """A table within a service's section."""

    url: str
    timeout_s: float = 5


class OddSettings(ConsumerSettings):
    """A service with more settings."""

    places: dict[str, Place] = Field(default={})
    limit: int = Field(default=3, ge=1)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Environment:
    """Set variables; `CRM_` in front stands for the section of the service crm-sync."""

    def set_all(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name.replace("CRM_", "RELAY_CONSUMERS__CRM_SYNC__", 1), value)

    return set_all


@pytest.fixture
def read(written: Written) -> Callable[[str], ConsumerSettings]:
    """Read the section of crm-sync in a settings file of this text."""

    def read(text: str) -> ConsumerSettings:
        return load("crm-sync", ConsumerSettings, written(text))[1]

    return read


@pytest.fixture
def problems_of(written: Written) -> Callable[..., list[str]]:
    """Return what is wrong with a settings file of this text."""

    def problems_of(text: str, kind: type[ConsumerSettings] = ConsumerSettings) -> list[str]:
        with pytest.raises(SettingsError) as caught:
            load("crm-sync", kind, written(text))
        return list(caught.value.problems)

    return problems_of


Read = Callable[[str], ConsumerSettings]
ProblemsOf = Callable[..., list[str]]


def test_the_defaults_are_those_of_the_contract() -> None:
    shared, found = load("crm-sync", ConsumerSettings)

    assert found.model_dump() == DEFAULTS
    assert shared.broker == relay_settings.Settings().broker
    assert shared.log == relay_settings.Settings().log


def test_a_service_reads_its_section_and_the_relays_broker_and_log(written: Written) -> None:
    path = written(
        "[broker]\nexchange = 'events'\n[log]\nlevel = 'debug'\n"
        "[consumers.crm-sync]\nprefetch = 7\nretry_delays_s = [0.5]\n"
        "[consumers.crm-sync.admin]\nport = 9099\n"
        "[consumers.other]\nprefetch = 9\n"
    )

    shared, found = load("crm-sync", ConsumerSettings, path)

    assert (shared.broker.exchange, shared.log.level) == ("events", "debug")
    assert (found.prefetch, found.retry_delays_s, found.admin.port) == (7, [0.5], 9099)


def test_the_environment_goes_before_the_file(read: Read, environment: Environment) -> None:
    environment(CRM_PREFETCH="8", CRM_SEEN="env:SEEN", CRM_RETRY_DELAYS_S="1, 2.5")

    found = read("[consumers.crm-sync]\nprefetch = 7\nconcurrency = 2\n")

    assert (found.prefetch, found.concurrency, found.seen) == (8, 2, "env:SEEN")
    assert found.retry_delays_s == [1, 2.5]


def test_in_the_environment_only_what_it_says_replaces_what_the_file_says(
    read: Read, environment: Environment
) -> None:
    environment(CRM_ADMIN__PORT="9099")

    found = read("[consumers.crm-sync.admin]\nhost = '0.0.0.0'\n")

    assert (found.admin.host, found.admin.port) == ("0.0.0.0", 9099)


def test_a_table_within_a_section_is_merged_at_every_depth(
    written: Written, environment: Environment
) -> None:
    environment(CRM_PLACES__ONE__TIMEOUT_S="9", CRM_PLACES__TWO__URL="http://two/")

    found = load(
        "crm-sync", OddSettings, written("[consumers.crm-sync.places.one]\nurl = 'http://one/'\n")
    )[1]

    assert found.places == {
        "one": Place(url="http://one/", timeout_s=9),
        "two": Place(url="http://two/"),
    }


def test_a_file_may_write_the_name_as_the_environment_does(read: Read) -> None:
    assert read("[consumers.crm_sync]\nprefetch = 7\n").prefetch == 7


@pytest.mark.parametrize(
    ("value", "delays"), [("", []), ("5", [5]), ("[1, 2]", [1, 2]), ("[]", []), ("0.001", [0.001])]
)
def test_delays_are_a_list_also_in_the_environment(
    value: str, delays: list[float], environment: Environment
) -> None:
    environment(CRM_RETRY_DELAYS_S=value)

    assert load("crm-sync", ConsumerSettings)[1].retry_delays_s == delays


@pytest.mark.parametrize("kind", [ConsumerSettings, OddSettings])
def test_settings_are_frozen(kind: type[ConsumerSettings]) -> None:
    found: Any = load("crm-sync", kind)[1]

    with pytest.raises(ValueError, match="frozen"):
        found.prefetch = 1


# Problems.


@for_each_row(
    ("setting", "value"),
    [
        ("prefetch", "0"),
        ("prefetch", "2001"),
        ("prefetch", "1.5"),
        ("concurrency", "0"),
        ("concurrency", "1001"),
        ("handler_timeout_s", "0"),
        ("handler_timeout_s", "901"),
        ("handler_timeout_s", "nan"),
        ("retry_delays_s", "5"),
        ("retry_delays_s", "'soon'"),
        ("retry_delays_s", "'[1,'"),
        ("retry_delays_s", "[0]"),
        ("retry_delays_s", "[1, -1]"),
        ("retry_delays_s", "[nan]"),
        ("retry_delays_s", "[86401]"),
        ("retry_delays_s", str([1] * 21)),
        ("dead_max_length", "0"),
        ("seen", "5"),
        ("seen_for_s", "59"),
        ("shutdown_grace_s", "-1"),
        ("shutdown_grace_s", "nan"),
        ("admin.port", "65536"),
        ("admin.port", "-1"),
    ],
)
def test_a_value_out_of_bounds_is_one_problem(
    setting: str, value: str, problems_of: ProblemsOf
) -> None:
    problems = problems_of(f"[consumers.crm-sync]\n{setting} = {value}\n")

    assert len(problems) == 1
    assert problems[0].startswith(f"consumers.crm-sync.{setting}")
    assert problems[0].endswith(".")


@for_each_row(
    ("text", "problem"),
    [
        ("[consumers.crm-sync]\nprefech = 1\n", "consumers.crm-sync.prefech is no setting."),
        (
            "[consumers.crm-sync.admin]\nprt = 1\n",
            "consumers.crm-sync.admin.prt is no setting.",
        ),
        (
            "[consumers.crm-sync]\nprefetch = 181\nconcurrency = 1\nhandler_timeout_s = 10\n",
            TOO_MANY,
        ),
        ("[brokr]\nurls = []\n", "brokr is no setting."),
        ("[log]\nlevl = 'info'\n", "log.levl is no setting."),
        (
            "[consumers]\ncrm-sync = 1\n",
            "consumers.crm-sync: it must be a table, such as a section [consumers.crm-sync].",
        ),
    ],
)
def test_a_problem_is_reported_in_one_sentence(
    text: str, problem: str, problems_of: ProblemsOf
) -> None:
    assert problems_of(text) == [problem]


@pytest.mark.parametrize(
    ("settings", "max_in_hand"),
    [
        ("", 100),
        ("prefetch = 480", 480),
        ("prefetch = 1", 1),
        ("concurrency = 1\nhandler_timeout_s = 900", 2),
        ("concurrency = 1\nhandler_timeout_s = 18", 100),
        ("concurrency = 1\nhandler_timeout_s = 20", 90),
        ("concurrency = 1\nhandler_timeout_s = 20\nprefetch = 90", 90),
    ],
)
def test_no_more_are_in_hand_than_rabbitmq_has_patience_for(
    settings: str, max_in_hand: int, read: Read
) -> None:
    assert read(f"[consumers.crm-sync]\n{settings}\n").max_in_hand() == max_in_hand


@pytest.mark.parametrize(
    ("settings", "batch_limit", "max_in_hand"),
    [
        ("", 500, 500),
        ("", 50, 100),
        ("", 5000, 2000),
        ("prefetch = 10", 500, 10),
        ("handler_timeout_s = 900", 20, 40),
        ("concurrency = 1\nhandler_timeout_s = 900", 500, 500),
    ],
)
def test_a_whole_batch_can_be_in_hand(
    settings: str, batch_limit: int, max_in_hand: int, read: Read
) -> None:
    found = read(f"[consumers.crm-sync]\n{settings}\n")

    assert found.max_in_hand(batch_limit) == max_in_hand


def test_every_problem_of_a_section_is_reported_at_once(
    problems_of: ProblemsOf, environment: Environment
) -> None:
    environment(CRM_CONCURRENCY="many", CRM_SEEEN="sqlite:x")

    problems = problems_of(
        "[consumers.crm-sync]\nprefetch = 0\nlimit = 0\n"
        "[consumers.crm-sync.places.one]\ntimeout_s = 1\n",
        OddSettings,
    )

    assert {problem.split()[0].rstrip(":") for problem in problems} == {
        f"consumers.crm-sync.{name}"
        for name in ("prefetch", "concurrency", "seeen", "limit", "places.one.url")
    }


def test_problems_of_a_section_do_not_hide_behind_those_of_the_broker(
    problems_of: ProblemsOf,
) -> None:
    problems = problems_of(
        "[broker]\nurls = ['http://a/']\n[log]\nlevel = 'loud'\n"
        "[consumers.crm-sync]\nconcurrency = 0\n"
    )

    assert {problem.split(":")[0] for problem in problems} == {
        *("broker.urls", "log.level", "consumers.crm-sync.concurrency"),
    }


def test_a_secret_is_not_repeated(problems_of: ProblemsOf) -> None:
    told = problems_of("[consumers.crm-sync]\nprefetch = 'postgresql://u:secret@host/'\n")
    told += problems_of("[consumers.crm-sync]\nseen = ['postgresql://u:secret@host/']\n")

    assert "secret" not in " ".join(told)
    assert "secret" not in repr(ConsumerSettings(seen="postgresql://u:secret@host/"))
