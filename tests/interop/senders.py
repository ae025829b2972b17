"""Senders' own libraries, in two processes that sign and check what their languages can."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

import pytest

from deploy.local import sender_sdks

SIGNS = {
    "bitbucket": "node",
    "discord": "python",
    "freshchat": "python",
    "github": "node",
    "hubspot": "python",
    "hubspot-v1": "python",
    "hubspot-v2": "python",
    "meta": "node",
    "slack": "python",
    "standard-webhooks": "node",
    "stripe": "node",
    "svix": "node",
    "twilio": "python",
}
"""Presets whose sender has a library that signs, or that a general one signs for: its language."""

CHECKS = {
    **{name: language for name, language in SIGNS.items() if name != "freshchat"},
    "crisp": "node",
    "discord": "node",
    "line": "node",
    "mux": "node",
    "paddle": "node",
    "razorpay": "node",
    "shopify": "node",
    "telegram": "node",
}
"""Presets whose sender has a library that checks what came in: its language."""

WITHOUT_LIBRARY = {
    "chatwoot": "its libraries call it, and check nothing",
    "cloudevents": "see test_cloudevents_sdk.py; the token is no matter of that library",
    "front": "none was found that checks",
    "gitlab": "it sends a token",
    "helpscout": "none was found that checks",
    "intercom": "its library calls it, and checks nothing",
    "livechat": "it sends a token",
    "msgraph": "it sends a token",
    "pagerduty": "its libraries call it, and check nothing",
    "rocketchat": "it sends a token",
    "x": "its last library that checks needs 140 others",
    "zendesk": "none was found that checks",
    "zoom": "its library is under no open licence",
}
"""All other presets, and why."""


class Delivery(NamedTuple):
    """What is signed, or was.

    Args:
        sender: a preset.
        secret: as the sender has it: where the relay has a public key, the private one.
        body: text.
        headers: by name, in lower case.
        url: in full.
        method: of the request.
    """

    sender: str
    secret: str
    body: str
    headers: Mapping[str, str] = {}
    url: str = "https://hooks.example.com/in/acme"
    method: str = "POST"


class Library:
    """A process that has the libraries of one language."""

    def __init__(self, language: str) -> None:
        if not sender_sdks.is_installed(language):
            pytest.skip(
                f"senders' libraries in {language} are missing: "
                "run `python -m deploy.local.sender_sdks --ensure`"
            )
        directory = sender_sdks.DIRECTORY / language
        if language == "node":
            shutil.copy(sender_sdks.LISTS / "signer.mjs", directory)
            command = ["node", str(directory / "signer.mjs")]
        else:
            command = [sys.executable, "-I", "-S", str(sender_sdks.LISTS / "signer.py")]
            command.append(str(directory))
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=10)

    def sign(self, delivery: Delivery) -> Delivery:
        """Return it with the headers that the library gives it."""
        headers = self._ask("sign", delivery)["headers"]
        signed = {name.lower(): value for name, value in headers.items()}
        return delivery._replace(headers={**delivery.headers, **signed})

    def accepts(self, delivery: Delivery) -> bool:
        """Return whether the library takes it for its sender's; it refuses by raising, too."""
        return bool(self._ask("check", delivery)["valid"])

    def _ask(self, act: str, delivery: Delivery) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"act": act, **delivery._asdict()}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "it ended; its errors are above"
        return dict(json.loads(line))


class Libraries:
    """Both processes, each started when it is first needed."""

    def __init__(self) -> None:
        self._started: dict[str, Library] = {}

    def __call__(self, language: str) -> Library:
        """Return the one of a language; skips the test where it is not installed."""
        if language not in self._started:
            self._started[language] = Library(language)
        return self._started[language]

    def close(self) -> None:
        """End them."""
        for library in self._started.values():
            library.__exit__(None, None, None)
