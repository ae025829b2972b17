"""Settings: the defaults of the contract, every way to set them, and every problem at once."""

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from relay.errors import SettingsError
from relay.settings import load

pytestmark = pytest.mark.usefixtures("in_empty_directory")


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set environment variables."""

    def set_all(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


def problems_of(path: Path | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(path)
    return list(caught.value.problems)


DEFAULTS: dict[str, Any] = {
    "ingress": {
        "host": "0.0.0.0",
        "port": 8080,
        "workers": 1,
        "ack_after": "outbox",
        "body_limit_bytes": 5_242_880,
        "header_limit_bytes": 32_768,
        "header_limit_count": 200,
        "read_timeout_s": 10,
        "shutdown_grace_s": 20,
        "keepalive_s": 75,
        "trusted_proxies": [],
    },
    "admin": {"host": "127.0.0.1", "port": 9090},
    "broker": {
        "urls": ["amqp://guest:guest@127.0.0.1:5672/"],
        "exchange": "webhooks",
        "declare_topology": True,
        "heartbeat_s": 10,
        "confirm_timeout_s": 30,
        "max_in_flight": 2000,
    },
    "outbox": {
        "directory": Path("var/outbox"),
        "on_corrupt": "set-aside",
        "write_timeout_s": 10,
        "max_bytes": 10_737_418_240,
    },
    "log": {"format": "auto", "level": "info"},
    "tracing": {"enabled": False},
    "console": {
        "host": "127.0.0.1",
        "port": 9080,
        "hosts": [],
        "receivers": [],
        "services": {},
        "tokens": {"viewer": [], "reader": [], "operator": []},
        "trusted_proxies": [],
    },
    "sources": {},
}


def test_the_defaults_are_those_of_the_contract() -> None:
    found = load().model_dump()

    broker, expected = found.pop("broker"), dict(DEFAULTS)
    assert broker.items() >= expected.pop("broker").items()  # it has bounds of its queues, too
    ingress = expected.pop("ingress")
    assert found.pop("ingress").items() >= ingress.items()  # likewise of connections and memory
    assert found.pop("history")["enabled"] is False
    assert found.pop("consumers") == {}
    assert found == expected


def test_a_file_sets_everything(written: Callable[[str], Path]) -> None:
    path = written(
        '[ingress]\nack_after = "confirm"\ntrusted_proxies = ["10.0.0.0/8", "::1"]\n'
        '[broker]\nurls = ["amqps://u:p%40@b:5671/v?cafile=/ca.pem", "amqp://c/"]\n'
        '[sources.acme]\nvendor = "swiftsell"\nsecrets = ["a", "env:HOME"]\necho = "mirror"\n'
        '[sources.b_2]\nvendor = "acquire"\ninsecure = true\nallow_from = ["192.0.2.1"]\n'
    )

    found = load(path)

    assert found.ingress.ack_after == "confirm"
    assert found.ingress.trusted_proxies == [ip_network("10.0.0.0/8"), ip_network("::1")]
    assert found.broker.urls == ["amqps://u:p%40@b:5671/v?cafile=/ca.pem", "amqp://c/"]
    assert found.sources["acme"].secrets == ["a", "env:HOME"]
    assert found.sources["acme"].echo == "mirror"
    assert found.sources["b_2"].insecure
    assert found.sources["b_2"].allow_from == [ip_network("192.0.2.1/32")]


@pytest.mark.parametrize(
    ("variables", "path", "value"),
    [
        ({"RELAY_INGRESS__PORT": "81"}, "ingress.port", 81),
        ({"relay_ingress__port": "81"}, "ingress.port", 81),
        (
            {"RELAY_BROKER__URLS": "amqp://a/, amqps://b/v"},
            "broker.urls",
            ["amqp://a/", "amqps://b/v"],
        ),
        ({"RELAY_BROKER__URLS": '["amqp://a/"]'}, "broker.urls", ["amqp://a/"]),
        ({"RELAY_BROKER__DECLARE_TOPOLOGY": "false"}, "broker.declare_topology", False),
        ({"RELAY_BROKER__EXCHANGE": "a.b:c-d_E9"}, "broker.exchange", "a.b:c-d_E9"),
        ({"RELAY_BROKER__MAX_IN_FLIGHT": "1"}, "broker.max_in_flight", 1),
        ({"RELAY_BROKER__UNROUTED_MAX_LENGTH": "1"}, "broker.unrouted_max_length", 1),
        ({"RELAY_BROKER__QUARANTINE_MAX_LENGTH": "1"}, "broker.quarantine_max_length", 1),
        ({"RELAY_OUTBOX__DIRECTORY": "/x"}, "outbox.directory", Path("/x")),
        ({"RELAY_INGRESS__TRUSTED_PROXIES": "::1"}, "ingress.trusted_proxies", [ip_network("::1")]),
        (
            {"RELAY_INGRESS__TRUSTED_PROXIES": "::ffff:10.0.0.0/104"},
            "ingress.trusted_proxies",
            [ip_network("10.0.0.0/8")],
        ),
        ({"RELAY_INGRESS__TRUSTED_PROXIES": ""}, "ingress.trusted_proxies", []),
        ({"RELAY_LOG__LEVEL": "debug", "RELAY_CONFIG": ""}, "log.level", "debug"),
        ({"RELAY_LOG__LEVEL": "warning"}, "log.level", "warning"),
        ({"RELAY_LOG__LEVEL": "error"}, "log.level", "error"),
        ({"RELAY_LOG__FORMAT": "console"}, "log.format", "console"),
        ({"RELAY_LOG__FORMAT": "json"}, "log.format", "json"),
        ({"RELAY_INGRESS__SHUTDOWN_GRACE_S": "0"}, "ingress.shutdown_grace_s", 0),
        ({"RELAY_INGRESS__BODY_LIMIT_BYTES": "7340032"}, "ingress.body_limit_bytes", 7_340_032),
        ({"RELAY_INGRESS__HEADER_LIMIT_BYTES": "8000"}, "ingress.header_limit_bytes", 8000),
        ({"RELAY_INGRESS__HEADER_LIMIT_COUNT": "50"}, "ingress.header_limit_count", 50),
        ({"RELAY_INGRESS__HOST": "::"}, "ingress.host", "::"),
        ({"RELAY_INGRESS__HOST": "10.0.0.1, fd00::1"}, "ingress.host", ["10.0.0.1", "fd00::1"]),
        ({"RELAY_INGRESS__HOST": '["10.0.0.1"]'}, "ingress.host", ["10.0.0.1"]),
    ],
)
def test_the_environment_overrides_the_file(
    variables: dict[str, str],
    path: str,
    value: Any,
    written: Callable[[str], Path],
    setting: Callable[..., None],
) -> None:
    setting(**variables)

    found: Any = load(written("[ingress]\nport = 80\nread_timeout_s = 7\n"))

    assert found.ingress.read_timeout_s == 7
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value


@pytest.mark.parametrize(
    ("value", "secrets"),
    [
        ("one", ["one"]),
        ("env:HOME, two ,", ["env:HOME", "two"]),
        ('["a,b", "c"]', ["a,b", "c"]),
        ("123456", ["123456"]),
        ("true", ["true"]),
        ("null", ["null"]),
        ('{"a":1}', ['{"a":1}']),
        ("1e5", ["1e5"]),
        ("a=b:c", ["a=b:c"]),
    ],
)
def test_a_source_can_be_set_by_the_environment_alone(
    value: str, secrets: list[str], setting: Callable[..., None]
) -> None:
    setting(RELAY_SOURCES__ACME__VENDOR="acquire", RELAY_SOURCES__ACME__SECRETS=value)

    found = load().sources["acme"]

    assert (found.vendor, found.secrets) == ("acquire", secrets)


SERVICE_LINKS = {
    "SERVICE_HOST": "10.96.0.7",
    "SERVICE_PORT": "80",
    "SERVICE_PORT_HTTP_METRICS": "80",
    "PORT": "tcp://10.96.0.7:80",
    "PORT_80_TCP": "tcp://10.96.0.7:80",
    "PORT_80_TCP_ADDR": "10.96.0.7",
    "PORT_80_TCP_PORT": "80",
    "PORT_80_TCP_PROTO": "tcp",
    "PORT_53_UDP": "udp://[fd00::7]:53",
}


@pytest.mark.parametrize("service", ["RELAY", "RELAY_ADMIN", "RELAY_OUTBOX_METRICS", "RELAY_X2"])
def test_what_kubernetes_sets_for_services_is_no_setting(
    service: str, setting: Callable[..., None]
) -> None:
    setting(**{f"{service}_{name}": value for name, value in SERVICE_LINKS.items()})
    setting(RELAY_ADMIN__PORT="9191")

    found = load()

    assert (found.ingress.port, found.admin.port) == (8080, 9191)


@pytest.mark.parametrize(
    "name", ["RELAY_PORTT", "RELAY_PORT", "RELAY_ADMIN_PORT", "RELAY_INGRES__PORT"]
)
def test_a_variable_that_only_resembles_one_of_kubernetes_is_a_problem(
    name: str, setting: Callable[..., None]
) -> None:
    setting(**{name: "8080"})

    (problem,) = problems_of()

    assert problem.startswith(f"{name} is no setting")


def test_settings_are_frozen() -> None:
    found: Any = load()

    with pytest.raises(ValueError, match="frozen"):
        found.ingress.port = 1
    with pytest.raises(ValueError, match="frozen"):
        found.log = None
