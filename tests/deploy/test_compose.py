"""deploy/compose/, without a Docker engine: its schema, its files, and what setup.sh makes."""

import asyncio
import json
import os
import re
import shutil
import ssl
import stat
import subprocess
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import yaml
from jsonschema import Draft7Validator
from psycopg.errors import InsufficientPrivilege

from consumers.archive.service import ArchiveSettings, archive_at
from consumers.kit.settings import load as load_consumer
from relay import broker_url
from relay.configured import sources_of
from relay.console.deployment import Deployment
from relay.settings import Settings, load
from tests.support.archives import archived, event, found, opened_archive

HERE = Path("deploy/compose")
COMPOSE = yaml.safe_load((HERE / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {"relay-1", "relay-2", "archive", "console"}

every_service = pytest.mark.parametrize("name", SERVICES)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What setup.sh makes, elsewhere."""
    directory = tmp_path_factory.mktemp("compose") / "secrets"
    for _ in range(2):  # the second time it changes nothing
        subprocess.run(["sh", HERE / "setup.sh", directory], check=True)
    return directory


def test_it_is_what_the_compose_specification_says() -> None:
    schema = json.loads(
        (files("check_jsonschema.builtin_schemas.vendor") / "compose-spec.json").read_text()
    )

    problems = [
        f"{error.json_path}: {error.message}"
        for error in Draft7Validator(schema).iter_errors(COMPOSE)
    ]

    assert problems == []


def test_docker_reads_it(secrets: Path) -> None:
    command = ["docker", "compose", "--file", HERE / "compose.yaml", "config", "--quiet"]
    if (
        not shutil.which("docker")
        or subprocess.run(
            ["docker", "compose", "version"], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("docker compose is not installed")

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert secrets


@every_service
def test_what_is_mounted_is_there(name: str, secrets: Path) -> None:
    for mount in SERVICES[name].get("volumes", []):
        source = mount.split(":")[0]
        if source.startswith("./secrets/"):
            assert (secrets / source.removeprefix("./secrets/")).is_file()
        elif source.startswith("."):
            assert (HERE / source).exists(), source
            assert mount.endswith(":ro")
        else:
            assert source in COMPOSE["volumes"]
    for secret in SERVICES[name].get("secrets", []):
        assert (secrets / Path(COMPOSE["secrets"][secret]["file"]).name).stat().st_size


@every_service
def test_a_service_is_bounded_and_may_do_little(name: str) -> None:
    service = SERVICES[name]

    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["restart"] == "unless-stopped"
    assert service.get("read_only") or name in {"rabbitmq", "postgres", "grafana"}
    if name not in OURS | {"haproxy"}:  # the image has one; HAProxy asks for others' health
        assert service["healthcheck"]
    if name not in OURS:
        assert re.fullmatch(r"[a-z/]+:v?\d+[.\d]*(-[a-z-]+)?", service["image"])
    for port in service.get("ports", []):
        assert name == "haproxy" or port.startswith("127.0.0.1:")


def test_only_those_who_talk_share_a_network() -> None:
    members = {
        network: {name for name, service in SERVICES.items() if network in service["networks"]}
        for network in COMPOSE["networks"]
    }

    assert members["edge"] == {"haproxy", "relay-1", "relay-2"}
    assert members["broker"] == {"relay-1", "relay-2", "archive", "console", "rabbitmq"}
    assert members["console"] == {"console"}  # its port is published, and the others are internal
    assert members["archive"] == {"archive", "console", "postgres"}


def test_relays_and_archive_read_their_settings(
    secrets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("relay.toml", "archive.toml"):
        text = (HERE / name).read_text().replace("/run/secrets/", f"{secrets}/")
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("RELAY_OUTBOX__DIRECTORY", "/var/lib/relay/outbox")

    relay: Settings = load(tmp_path / "relay.toml")
    shared, archive = load_consumer("archive", ArchiveSettings, tmp_path / "archive.toml")

    password = (secrets / "passwords/relay").read_text().strip()
    (url,) = map(broker_url.read, relay.broker.urls)
    assert url == f"amqp://relay:{password}@rabbitmq:5672/"
    assert list(sources_of(relay)) == ["demo"]
    (url,) = map(broker_url.read, shared.broker.urls)
    assert url.startswith("amqp://archive:")
    assert archive.database.endswith("@postgres/archive")
    stop_s = int(SERVICES["relay-1"]["stop_grace_period"].removesuffix("s"))
    assert stop_s > 2 * relay.ingress.shutdown_grace_s


def test_the_console_reads_its_settings_and_knows_all(secrets: Path, tmp_path: Path) -> None:
    text = (HERE / "console.toml").read_text().replace("/run/secrets/", f"{secrets}/")
    (tmp_path / "console.toml").write_text(text)
    relay = tomllib.loads((HERE / "relay.toml").read_text())

    deployment = Deployment(load(tmp_path / "console.toml"))

    service = SERVICES["console"]
    (url,) = map(broker_url.read, deployment.broker.urls)
    assert url.startswith("amqp://console:")
    assert service["command"] == ["relay", "console"]
    assert service["ports"] == [f"127.0.0.1:{deployment.console.port}:{deployment.console.port}"]
    assert service["environment"]["HEALTH_PORT"] == str(deployment.console.port)
    assert not deployment.access.is_open
    assert deployment.archive[1] == "the archive in PostgreSQL"
    assert {(name, source.origin.vendor) for name, source in deployment.sources.items()} == {
        (name, section["vendor"]) for name, section in relay["sources"].items()
    }
    watched = [*deployment.receivers, *deployment.services.values()]
    assert {urlsplit(each).hostname for each in watched} == OURS - {"console"}


async def test_the_database_lets_the_console_read_what_the_archive_will_write(
    secrets: Path, tmp_path: Path, postgres_url: str
) -> None:
    script = tmp_path / "console.sql"
    script.write_text((HERE / "postgres.sql").read_text().replace("/run/secrets", str(secrets)))
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute("CREATE ROLE archive LOGIN")
        db.execute("GRANT CREATE ON SCHEMA public TO archive")
    try:
        command = ["psql", "--set=ON_ERROR_STOP=1", f"--file={script}", postgres_url]
        # As the image's entrypoint does.
        await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
        async with opened_archive(as_role("archive", postgres_url)) as archive:
            await archive.append([event("e1")])

        reading = as_role("console", postgres_url)
        assert found(archive_at(reading)) == archived(event("e1"))
        with psycopg.connect(reading) as db, pytest.raises(InsufficientPrivilege):
            db.execute("DELETE FROM archive")
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as db:
            for statement in ("DROP OWNED BY", "DROP ROLE"):
                db.execute(f"{statement} archive")
                db.execute(f"{statement} console")


def as_role(role: str, url: str) -> str:
    """Return the URL of a database for another role."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}"))


def test_setup_makes_definitions_anew_when_the_projects_have_changed(
    secrets: Path, tmp_path: Path
) -> None:
    older = tmp_path / "secrets"
    shutil.copytree(secrets, older)
    (older / "definitions.json").write_text("{}")
    os.utime(older / "definitions.json", (0, 0))

    subprocess.run(["sh", HERE / "setup.sh", older], check=True)

    users = json.loads((older / "definitions.json").read_text())["users"]
    assert "console" in {user["name"] for user in users}


def test_what_prometheus_asks_is_there() -> None:
    config = yaml.safe_load(Path("deploy/prometheus/prometheus.yml").read_text())
    targets = {
        target.split(":")[0]
        for job in config["scrape_configs"]
        for static in job["static_configs"]
        for target in static["targets"]
    }

    assert targets == {
        name for name, service in SERVICES.items() if "watch" in service["networks"]
    } - {"prometheus", "console"}  # which has no metrics


def test_setup_makes_what_is_secret_for_its_owner_alone(secrets: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(secrets / "relay.pem")
    users = json.loads((secrets / "definitions.json").read_text())["users"]

    assert all(user["password_hash"] for user in users)
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert stat.S_IMODE((secrets / "passwords").stat().st_mode) == 0o700
    assert len((secrets / "demo_token").read_text().strip()) == 48


def test_no_secret_is_in_the_files_themselves() -> None:
    for path in HERE.glob("*.*"):
        assert not re.search(r"(?i)(password|token)\w*: *[^/\s{]", path.read_text()), path


def test_setup_keeps_what_is_there(secrets: Path) -> None:
    before = {path: path.read_bytes() for path in secrets.rglob("*") if path.is_file()}

    subprocess.run(["sh", HERE / "setup.sh", secrets], check=True)

    assert {path: path.read_bytes() for path in secrets.rglob("*") if path.is_file()} == before
