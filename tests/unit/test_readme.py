"""What the README shows has to work: its vendor, its settings."""

import re
from pathlib import Path
from types import ModuleType

import orjson
import pytest

from relay.errors import Unauthenticated
from relay.settings import load
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request

BLOCKS = re.findall(r"```(\w+)\n(.*?)```", Path("README.md").read_text(), re.DOTALL)


def blocks(language: str, containing: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind == language and containing in text]


@pytest.fixture
def example() -> ModuleType:
    (source,) = blocks("python", "def normalize")
    module = ModuleType("example")
    exec(compile(source, "README.md", "exec"), module.__dict__)  # noqa: S102  our own text
    return module


def test_the_example_vendor_signs_authenticates_and_normalizes(example: ModuleType) -> None:
    body = orjson.dumps({"kind": "message", "at": "1700000000", "chat": 7, "text": "Hi"})
    delivery = example.sign(body, "secret")
    request = Request(body=delivery.body, headers=delivery.headers)

    example.authenticate(request, Secrets(["secret"]))
    (event,) = example.normalize(request)

    with pytest.raises(Unauthenticated):
        example.authenticate(request, Secrets(["another"]))
    assert (event.type, event.detail, event.time) == (
        "message.created",
        "text",
        "2023-11-14T22:13:20Z",
    )
    assert event.data["conversation"] == {"id": "7"}
    assert event.raw == body


def test_the_settings_shown_are_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SWIFTSELL_TOKEN", "secret")
    (text,) = blocks("toml", "[broker]")

    path = tmp_path / "relay.toml"
    path.write_text(text)

    settings = load(path)

    assert list(settings.sources) == ["acme-sales"]


def test_the_consumer_shown_is_python() -> None:
    (source,) = blocks("python", "aio_pika.connect_robust")

    compile(source, "README.md", "exec")
