"""What is wrong with the settings is told at start, by name, and all of it at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay import vendors
from relay.errors import SettingsError
from relay.settings import load
from tests.support.rows import for_each, for_each_row

pytestmark = pytest.mark.usefixtures("in_empty_directory")


@pytest.fixture(autouse=True)
def _empty_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY", " \n")


@pytest.fixture
def problems_of(tmp_path: Path) -> Callable[[str], list[str]]:
    """Return what is wrong with a settings file of this text."""

    def load_text(text: str) -> list[str]:
        path = tmp_path / "settings.toml"
        path.write_text(text)
        with pytest.raises(SettingsError) as caught:
            load(path)
        return list(caught.value.problems)

    return load_text


def names(problems: list[str]) -> set[str]:
    """Return what the problems are about: the word each sentence begins with."""
    return {problem.split(" ")[0].rstrip(":") for problem in problems}


def source(**fields: Any) -> str:
    lines = [f"{name} = {value!r}" for name, value in ({"vendor": "swiftsell"} | fields).items()]
    return "[sources.acme]\n" + "\n".join(lines).replace("True", "true") + "\n"


@for_each_row(
    ("setting", "value"),
    [
        ("ingress.port", "65536"),
        ("ingress.port", "-1"),
        ("ingress.port", '"http"'),
        ("ingress.port", "8080.5"),
        ("ingress.workers", "0"),
        ("ingress.workers", "65"),
        ("ingress.ack_after", '"never"'),
        ("ingress.body_limit_bytes", "0"),
        ("ingress.body_limit_bytes", "8_000_000"),
        ("ingress.header_limit_bytes", "255"),
        ("ingress.header_limit_bytes", "2_000_000"),
        ("ingress.header_limit_count", "0"),
        ("ingress.host", '""'),
        ("ingress.host", "[]"),
        ("ingress.host", '["127.0.0.1", ""]'),
        ("ingress.host", "8080"),
        ("ingress.host", '["::", 1]'),
        ("ingress.read_timeout_s", "0"),
        ("ingress.shutdown_grace_s", "-1"),
        ("ingress.shutdown_grace_s", "nan"),
        ("admin.port", "70_000"),
        ("broker.urls", "[]"),
        ("broker.urls", '["http://a/"]'),
        ("broker.urls", '["amqp:///"]'),
        ("broker.urls", '["amqp://a:b@c:port/"]'),
        ("broker.urls", '["amqp://a:b@c:99999/"]'),
        ("broker.urls", '["amqp://user:pass/word@host/"]'),
        ("broker.urls", '["amqp://user:pass#word@host/"]'),
        ("broker.urls", '"amqp://a/, nonsense"'),
        ("broker.exchange", '""'),
        ("broker.exchange", '"a b"'),
        ("broker.heartbeat_s", "0"),
        ("broker.confirm_timeout_s", "0"),
        ("broker.max_in_flight", "0"),
        ("broker.unrouted_max_length", "0"),
        ("broker.quarantine_max_length", "0"),
        ("broker.declare_topology", '"perhaps"'),
        ("outbox.max_bytes", "1"),
        ("log.format", '"xml"'),
        ("log.level", '"loud"'),
    ],
)
def test_a_value_out_of_bounds_is_a_problem(
    setting: str, value: str, problems_of: Callable[[str], list[str]]
) -> None:
    section, _, name = setting.partition(".")

    problems = problems_of(f"[{section}]\n{name} = {value}\n")

    assert len(problems) == 1
    assert problems[0].startswith(f"{setting}: ")
    assert problems[0].endswith(".")


@for_each_row(
    ("ingress", "admin", "is_problem"),
    [
        ('"0.0.0.0"', "127.0.0.1", True),
        ('"127.0.0.1"', "0.0.0.0", True),
        ('["192.0.2.1", "127.0.0.1"]', "127.0.0.1", True),
        ('["192.0.2.1", "::"]', "127.0.0.1", True),
        ('"127.0.0.1"', "::", True),
        ('"192.0.2.1"', "127.0.0.1", False),
    ],
)
def test_two_listeners_can_not_have_one_port(
    ingress: str, admin: str, problems_of: Callable[[str], list[str]], *, is_problem: bool
) -> None:
    listeners = f"[ingress]\nhost = {ingress}\nport = 80\n[admin]\nhost = '{admin}'\nport = 80\n"
    other = "[log]\nx = 1\n"

    *found, _ = problems_of(listeners + other)

    same_port = ["admin: port 80 is ingress.port, too; set it to another."]
    assert found == (same_port if is_problem else [])


@for_each_row(
    ("text", "problem"),
    [
        ("[ingress]\nprt = 1\n", "ingress.prt is no setting."),
        ("[ingres]\nport = 1\n", "ingres is no setting."),
        ("file = 'x'\n", "file is no setting."),
        ("broker = 'x'\n", "broker: it must be a table, such as a section [broker]."),
        ("sources = 7\n", "sources: it must be a table, such as a section [sources]."),
        ("[[sources]]\na = 7\n", "sources: it must be a table, such as a section [sources]."),
        ("[sources]\na = 7\n", "sources.a: it must be a table, such as a section [sources.a]."),
        ("[outbox]\ndirectory = 7\n", "outbox.directory: it must be a path, as text."),
        (source(secrets=["a"], token="x"), "sources.acme.token is no setting."),
        ("[sources.acme]\nsecrets = ['a']\n", "sources.acme.vendor is missing."),
        (
            source(vendor="nope", secrets=["a"]),
            f"sources.acme.vendor: 'nope' is none of {', '.join(vendors.names())}.",
        ),
        (
            source(),
            "sources.acme.secrets: there is none; set it, or insecure = true to let everyone in.",
        ),
        (
            source(secrets=["a"], insecure=True),
            "sources.acme.secrets: insecure = true makes them useless; remove one of the two.",
        ),
        (
            source(vendor="acquire", secrets=["a"], echo="json"),
            "sources.acme.echo: acquire wants no token read back; remove it.",
        ),
        (
            source(secrets=["env:NOT_SET_ANYWHERE"]),
            "sources.acme.secrets: the environment variable NOT_SET_ANYWHERE is not set.",
        ),
        (source(secrets=["env:EMPTY"]), "sources.acme.secrets: env:EMPTY is empty."),
        (
            "[sources.'a b']\nvendor = 'acquire'\ninsecure = true\n",
            "sources: 'a b' is no name: up to 64 of a-z, 0-9, _ and -.",
        ),
    ],
)
def test_a_problem_is_told_in_one_sentence(
    text: str, problem: str, problems_of: Callable[[str], list[str]]
) -> None:
    assert problems_of(text) == [problem]


@for_each(name=["A", "-a", "a/b", "a.b", "é", "x" * 65, ""])
def test_a_name_that_fits_no_path_is_refused(
    name: str, problems_of: Callable[[str], list[str]]
) -> None:
    [problem] = problems_of(f"[sources.{name!r}]\nvendor = 'acquire'\ninsecure = true\n")

    assert repr(name) in problem


@pytest.mark.parametrize("echo", ["json", "text", "mirror"])
@pytest.mark.parametrize("vendor", ["swiftsell", "supporthunt"])
def test_a_vendor_that_echoes_may_be_told_how(vendor: str, echo: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(source(vendor=vendor, secrets=["a"], echo=echo))

    assert load(path).sources["acme"].echo == echo


# All at once.


def test_each_worker_needs_room_in_the_outbox(problems_of: Callable[[str], list[str]]) -> None:
    (problem,) = problems_of("[ingress]\nworkers = 4\n[outbox]\nmax_bytes = 2_000_000\n")

    assert problem == "outbox: max_bytes must be at least 4194304 for 4 workers."


def test_every_problem_of_file_and_environment_is_told_at_once(
    problems_of: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAY_INGRES__PORT", "1")
    monkeypatch.setenv("RELAY_PORT", "1")
    monkeypatch.setenv("RELAY_BROKER__URL", "amqp://a/")
    monkeypatch.setenv("RELAY_LOG__LEVEL", "loud")

    problems = problems_of("[ingress]\nport = 'x'\nworkers = 99\n[extra]\na = 1\n" + source())

    assert names(problems) == {
        "RELAY_INGRES__PORT",
        "RELAY_PORT",
        "broker.url",
        "log.level",
        "ingress.port",
        "ingress.workers",
        "extra",
        "sources.acme.secrets",
    }


def test_a_variable_of_no_section_is_a_problem_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_INGRES__PORT", "1")

    with pytest.raises(SettingsError) as caught:
        load()

    problem = "RELAY_INGRES__PORT is no setting: there is no section 'ingres'."
    assert caught.value.problems == (problem,)


def test_a_wrong_name_does_not_hide_behind_another_problem(
    problems_of: Callable[[str], list[str]],
) -> None:
    wrong_name = "[sources.Bad]\nvendor = 'acquire'\ninsecure = true\n"

    problems = problems_of(wrong_name + source(vendor="nope", secrets=["a"]))

    assert "sources.acme.vendor" in names(problems)
    assert "'Bad'" in " ".join(problems)


def test_every_secret_that_cannot_be_had_is_told(problems_of: Callable[[str], list[str]]) -> None:
    problems = " ".join(problems_of(source(secrets=["env:EMPTY", "env:GONE", "file:gone"])))

    assert [name for name in ("env:EMPTY", "GONE", "file gone") if name not in problems] == []


def test_a_source_without_secret_does_not_hide_behind_its_vendor(
    problems_of: Callable[[str], list[str]],
) -> None:
    assert names(problems_of(source(vendor="nope"))) == {
        "sources.acme.vendor",
        "sources.acme.secrets",
    }


def test_a_variable_that_is_not_json_hides_nothing(
    problems_of: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAY_INGRESS", "{")
    monkeypatch.setenv("RELAY_TYPO", "1")

    problems = problems_of("[admin]\nport = -1\n")

    assert "RELAY_TYPO" in names(problems)
    assert "ingress" in " ".join(problems).lower()
    assert "admin.port" in names(problems)


@pytest.mark.parametrize("network", ["10.0.0.1/8", "10.0.0.0/33", "example.com", "", 5])
def test_a_network_that_is_none_is_one_problem_in_plain_words(
    network: Any, problems_of: Callable[[str], list[str]]
) -> None:
    problems = problems_of(f"[ingress]\ntrusted_proxies = [{network!r}]\n")

    assert len(problems) == 1
    assert problems[0].startswith("ingress.trusted_proxies")
    assert "[" not in problems[0]


def test_tracing_without_its_extra_is_a_problem(
    problems_of: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.settings.find_spec", lambda _: None)

    (problem,) = problems_of("[tracing]\nenabled = true")

    assert problem == (
        "tracing.enabled: OpenTelemetry is not installed; install relay with its extra: [otel]."
    )


@for_each_row(
    ("fields", "setting", "words"),
    [
        ({"exchange": ""}, "exchange", "match"),
        ({"exchange": "a b"}, "exchange", "match"),
        ({"exchange": "amq.topic"}, "exchange", "amq."),
        ({"exchange": "webhooks.unrouted"}, "exchange", ".unrouted"),
        ({"exchange": "acme.history"}, "exchange", ".history"),
        ({"headers": ["X-Signature"]}, "headers", "credential"),
        ({"headers": ["x y"]}, "headers", "no name"),
        ({"ignore": ["nope.created"]}, "ignore", "matches no type"),
        ({"ignore": ["contact.deleted"]}, "ignore", "matches no type"),
        ({"redact": '{"/contact/email": "hide"}'}, "redact", "hide"),
        ({"redact": '{"contact": "mask"}'}, "redact", "JSON pointer"),
        ({"redact": '{"/raw": "remove"}'}, "redact", "/raw/*"),
        ({"redact": '["/a"]'}, "redact", "a table"),
        ({"redact": '{"/contact/id": "pseudonym"}'}, "redaction_key", "there is none"),
        ({"redaction_key": "short"}, "redaction_key", "fewer than 16"),
        ({"redaction_key": "env:NO_SUCH_VARIABLE"}, "redaction_key", "NO_SUCH_VARIABLE"),
        ({"redaction_key": "env:EMPTY"}, "redaction_key", "EMPTY"),
    ],
)
def test_what_a_source_does_to_its_events_is_checked(
    fields: dict[str, Any], setting: str, words: str, problems_of: Callable[[str], list[str]]
) -> None:
    (problem,) = problems_of(source(secrets=["tok-1"], **fields))

    assert problem.startswith(f"sources.acme.{setting}: ")
    assert words in problem


@for_each(
    url=[
        "http://10.0.0.1:99999",
        "dns://relay:65536",
        "http://relay:0",
        "http://[relay]:9090",
        "http://:9090",
        "http://[::1:9090",
        "relay:9090",
    ]
)
def test_an_address_of_the_console_that_nobody_can_ask_is_a_problem(
    problems_of: Callable[[str], list[str]], url: str
) -> None:
    (problem,) = problems_of(f'[console]\nreceivers = ["{url}"]')
    (other,) = problems_of(f'[console]\nservices = {{archive = "{url}"}}')

    assert url in problem
    assert url in other
