"""The example file is the documentation of the settings, so it has to be complete and right."""

import base64
from pathlib import Path

import pytest
from pydantic import BaseModel

from consumers.archive.service import ArchiveSettings
from consumers.forward.service import EndpointSettings, ForwardSettings
from consumers.kit import ConsumerSettings
from consumers.kit.settings import load as load_consumer
from consumers.notify.service import NotifySettings, Rule
from relay.settings import Settings, SourceSettings, load

EXAMPLE = Path("deploy/relay.example.toml")


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWIFTSELL_TOKEN", "secret")
    monkeypatch.setenv("ORDERS_SECRET", "secret")
    monkeypatch.setenv("REDACTION_KEY", "a key of 16 characters or more")
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "https://hooks.example.com/1")
    key = base64.b64encode(bytes(32)).decode()
    monkeypatch.setenv("CRM_WEBHOOK_SECRET", f"whsec_{key}")


def assert_lists_all_with_defaults(section: BaseModel) -> None:
    assert section.model_fields_set == set(type(section).model_fields)
    for name, field in type(section).model_fields.items():
        if not field.is_required():
            default = field.get_default(call_default_factory=True)
            assert getattr(section, name) == default, name


def own_fields(kind: type[ConsumerSettings]) -> set[str]:
    """Return what a service adds to, or changes of, the settings of every service."""
    return {
        name
        for name, field in kind.model_fields.items()
        if repr(field) != repr(ConsumerSettings.model_fields.get(name))
    }


def test_the_example_lists_every_setting_of_the_relay_with_its_default() -> None:
    settings = load(EXAMPLE)

    for section in ("ingress", "admin", "broker", "history", "outbox", "log", "tracing", "console"):
        assert_lists_all_with_defaults(getattr(settings, section))
    listed = [source.model_fields_set for source in settings.sources.values()]
    assert set().union(*listed) == set(SourceSettings.model_fields)
    assert set(Settings.model_fields) == settings.model_fields_set


def test_the_example_lists_every_setting_of_a_service_of_ones_own() -> None:
    _, settings = load_consumer("crm-sync", ConsumerSettings, EXAMPLE)

    assert settings.max_in_hand() == settings.prefetch == ConsumerSettings().max_in_hand()
    assert_lists_all_with_defaults(settings.model_copy(update={"prefetch": None}))
    assert_lists_all_with_defaults(settings.admin)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("archive", ArchiveSettings), ("forward", ForwardSettings), ("notify", NotifySettings)],
)
def test_the_example_lists_what_a_service_has_of_its_own(
    name: str, kind: type[ConsumerSettings]
) -> None:
    _, settings = load_consumer(name, kind, EXAMPLE)

    assert own_fields(kind) - {"handler_timeout_s"} <= settings.model_fields_set
    for field in settings.model_fields_set - {"endpoints", "rules", "admin"}:
        assert getattr(settings, field) == kind.model_fields[field].default, field
    assert settings.admin.port == kind.model_fields["admin"].default.port


def test_the_example_shows_an_endpoint_and_a_rule_in_full() -> None:
    _, forward = load_consumer("forward", ForwardSettings, EXAMPLE)
    _, notify = load_consumer("notify", NotifySettings, EXAMPLE)

    (endpoint,) = forward.endpoints.values()
    (rule,) = notify.rules.values()

    assert endpoint.model_fields_set == set(EndpointSettings.model_fields)
    assert rule.model_fields_set == set(Rule.model_fields)
