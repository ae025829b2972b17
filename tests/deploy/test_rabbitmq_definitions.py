"""deploy/rabbitmq/definitions.json, and the script that puts passwords into it."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from consumers.kit.queues import topology as services
from relay.events import topology
from relay.settings import BrokerSettings

SCRIPT = Path("deploy/rabbitmq/definitions.py")
DEFINITIONS = json.loads(SCRIPT.with_suffix(".json").read_text())
PASSWORDS = {user["name"]: f"{user['name']}-password-1234" for user in DEFINITIONS["users"]}


def run(directory: Path) -> subprocess.CompletedProcess[str]:
    # Where RabbitMQ is, there is none of our packages.
    command = [sys.executable, "-I", "-S", str(SCRIPT), str(directory)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def written(directory: Path, passwords: dict[str, str], mode: int = 0o600) -> Path:
    directory.mkdir(exist_ok=True)
    for user, password in passwords.items():
        (directory / user).write_text(f"{password}\n")
        (directory / user).chmod(mode)
    return directory


def test_it_declares_what_the_relay_would() -> None:
    broker = BrokerSettings()
    wanted = topology.topology(
        broker.exchange,
        unrouted_max_length=broker.unrouted_max_length,
        quarantine_max_length=broker.quarantine_max_length,
    )

    assert {queue["name"]: queue["arguments"] for queue in DEFINITIONS["queues"]} == {
        queue.name: queue.arguments for queue in wanted.queues
    }
    assert {
        exchange["name"]: (exchange["type"], exchange["arguments"])
        for exchange in DEFINITIONS["exchanges"]
    } == {exchange.name: (exchange.kind, exchange.arguments) for exchange in wanted.exchanges}
    assert {
        (binding["source"], binding["routing_key"], binding["destination"])
        for binding in DEFINITIONS["bindings"]
    } == {(binding.exchange, binding.pattern, binding.to) for binding in wanted.bindings}


@pytest.mark.parametrize(
    ("service", "user"),
    [("archive", "archive"), ("forward-crm", "forward"), ("notify-missed", "notify")],
)
def test_a_service_has_the_rights_to_its_own_queues_and_to_no_others(
    service: str, user: str
) -> None:
    (rights,) = [
        permission for permission in DEFINITIONS["permissions"] if permission["user"] == user
    ]
    own = services.topology(service, retry_delays_s=[0.5, 1, 600], dead_max_length=1).queues
    others = ("webhooks.quarantine", "webhooks.unrouted", f"x{service}", f"{user}ing", "crm-sync")

    for kind in ("configure", "write", "read"):
        assert all(re.search(rights[kind], queue.name) for queue in own)
        assert not any(re.search(rights[kind], other) for other in others)
    assert re.search(rights["read"], "webhooks")
    assert not re.search(rights["write"], "webhooks")


def test_the_relay_may_write_to_exchanges_of_sources_and_to_no_queue_of_its_own() -> None:
    (rights,) = [
        permission for permission in DEFINITIONS["permissions"] if permission["user"] == "relay"
    ]
    readers = [
        permission["read"]
        for permission in DEFINITIONS["permissions"]
        if permission["user"] not in {"relay", "console", "operator"}
    ]

    for name in ("webhooks", "webhooks-crm", "webhooks-a_b-1"):
        for exchange in (name, topology.history_exchange(name)):
            assert re.search(rights["write"], exchange)
    assert re.search(rights["write"], topology.quarantine_exchange("webhooks"))
    for other in (
        "webhooks.unrouted",
        "webhooks-crm.quarantine",
        "webhooks-",
        "webhooksx",
        "archive",
    ):
        assert not re.search(rights["write"], other)
    assert not any(re.search(pattern, "webhooks-crm") for pattern in readers)


def test_the_console_may_read_all_events_and_no_queue_of_a_service_but_dead_letters() -> None:
    (rights,) = [
        permission for permission in DEFINITIONS["permissions"] if permission["user"] == "console"
    ]
    feed = topology.feed_queue("0123456789abcdef").name
    events = ["webhooks", "webhooks-crm", "webhooks.history", "webhooks-crm.history"]
    quarantine = topology.quarantine_exchange("webhooks")
    own = services.topology("forward-crm", retry_delays_s=[1], dead_max_length=1)
    dead, retry = services.dead_queue("forward-crm"), services.exchange("forward-crm")
    names = {"x", "webhooks.unrouted", *events, quarantine, feed, retry}
    names |= {queue.name for queue in own.queues}

    allowed = {
        kind: {name for name in names if re.search(rights[kind], name)}
        for kind in ("configure", "write", "read")
    }

    assert allowed == {
        "configure": {feed},
        "write": {feed, retry, quarantine, *events},
        "read": {feed, dead, quarantine, *events},
    }


def test_the_bounds_are_on_the_services_own_queues_alone() -> None:
    (policy,) = DEFINITIONS["policies"]

    for name in ("archive", "forward-crm", "notify-missed"):
        assert re.search(policy["pattern"], name)
    for name in ("webhooks.unrouted", "webhooks.quarantine", "archive.dead", "archive.retry.1s"):
        assert not re.search(policy["pattern"], name)
    assert policy["definition"]["delivery-limit"] == services.MAX_DELIVERIES


def test_it_hashes_passwords_as_rabbitmq_does(tmp_path: Path) -> None:
    done = run(written(tmp_path, PASSWORDS))

    found = json.loads(done.stdout)
    for user in found["users"]:
        salted = base64.b64decode(user.pop("password_hash"))
        salt, digest = salted[:4], salted[4:]
        assert digest == hashlib.sha256(salt + PASSWORDS[user["name"]].encode()).digest()
    for user in DEFINITIONS["users"]:
        assert not user["password_hash"]
    assert {name: value for name, value in found.items() if name != "users"} == {
        name: value for name, value in DEFINITIONS.items() if name != "users"
    }


def test_it_names_every_password_that_can_not_be_used(tmp_path: Path) -> None:
    written(tmp_path, {"relay": "short", "archive": ""})
    written(tmp_path, {"operator": PASSWORDS["operator"]}, mode=0o604)

    done = run(tmp_path)

    assert (done.returncode, done.stdout) == (1, "")
    for user, reason in {
        "relay": "fewer than 16 characters",
        "archive": "fewer than 16 characters",
        "forward": "it is to hold the password of the user forward",
        "notify": "it is to hold the password of the user notify",
        "operator": "can be read by everyone",
    }.items():
        (line,) = [line for line in done.stderr.splitlines() if str(tmp_path / user) in line]
        assert reason in line
    assert PASSWORDS["operator"] not in done.stderr
