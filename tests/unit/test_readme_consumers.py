"""What consumers/README.md shows has to work: the service, its test, the settings."""

import base64
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from consumers.archive.service import ArchiveSettings
from consumers.forward.service import ForwardSettings
from consumers.kit import ConsumerSettings
from consumers.kit.settings import load
from consumers.kit.testing import Done, events, handle
from consumers.notify.service import NotifySettings

TEXT = Path("consumers/README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)


def block(language: str, containing: str) -> str:
    (text,) = [text for kind, text in BLOCKS if kind == language and containing in text]
    return text


@pytest.fixture
def service() -> Iterator[ModuleType]:
    module = sys.modules["crm_sync"] = ModuleType("crm_sync")
    exec(compile(block("python", "run(consumer)"), "crm_sync.py", "exec"), module.__dict__)  # noqa: S102  our own text
    yield module
    del sys.modules["crm_sync"]


async def test_the_service_shown_passes_the_test_shown(
    service: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    test = ModuleType("test_crm_sync")
    source = block("python", "async def test_")
    exec(compile(source, "test_crm_sync.py", "exec"), test.__dict__)  # noqa: S102  our own text

    await test.test_a_message_is_synced()

    assert service.consumer.name == "crm-sync"
    assert "swiftsell message.created" in capsys.readouterr().out


async def test_the_other_handlers_shown_take_events() -> None:
    shown = ModuleType("shown")
    exec(compile(block("python", "batch_handler"), "README.md", "exec"), shown.__dict__)  # noqa: S102  our own text
    (event,) = events("swiftsell", "02")

    assert await handle(shown.batches, event) == Done()
    assert await handle(shown.rows, event) == Done()


def test_the_consumer_without_the_kit_is_python() -> None:
    compile(block("python", "aio_pika.connect_robust"), "README.md", "exec")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("archive", ArchiveSettings), ("forward", ForwardSettings), ("notify", NotifySettings)],
)
def test_the_settings_shown_are_settings(
    name: str, kind: type[ConsumerSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = base64.b64encode(bytes(32)).decode()
    monkeypatch.setenv("CRM_WEBHOOK_SECRET", f"whsec_{key}")
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "https://hooks.example.com/1")
    path = tmp_path / "relay.toml"
    path.write_text(block("toml", f"[consumers.{name}"))

    load(name, kind, path)


def test_the_table_of_settings_names_all_of_them() -> None:
    table = TEXT[TEXT.index("## Operate") :]

    assert [field for field in ConsumerSettings.model_fields if f"`{field}" not in table] == []
