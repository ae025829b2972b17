"""Alerts and dashboard: by promtool, then by a real Prometheus that scrapes what they are about."""

import asyncio
import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from deploy.local.node import PrivateBroker
from deploy.local.private_server import Guard, free_port
from relay import vendors
from tests.support.eventually import eventually
from tests.support.relay_process import RelayProcess, post_signed
from tests.support.service_process import service

PROMETHEUS = Path("deploy/prometheus")
DASHBOARD = json.loads(Path("deploy/grafana/relay.json").read_text())
RULES = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

pytestmark = pytest.mark.skipif(not shutil.which("promtool"), reason="prometheus is not installed")


def promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_configuration_is_one() -> None:
    assert "SUCCESS" in promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))


def test_each_alert_fires_when_it_should_and_not_when_it_should_not() -> None:
    promtool("test", "rules", str(PROMETHEUS / "alerts.test.yml"))

    tests = yaml.safe_load((PROMETHEUS / "alerts.test.yml").read_text())["tests"]
    names = {rule["alert"] for rule in RULES}
    assert {case["name"] for case in tests} == names | {f"{name}, not" for name in names}
    for case in tests:
        (expected,) = case["promql_expr_test"]
        assert f'"{case["name"].removesuffix(", not")}"' in expected["expr"]
        assert bool(expected["exp_samples"]) == (not case["name"].endswith(", not"))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_operator_is_told_what_each_alert_means(rule: dict[str, Any]) -> None:
    guide = Path("deploy/README.md").read_text()

    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"].keys() == {"summary", "description"}
    assert f"| `{rule['alert']}` |" in guide


def test_no_panel_covers_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


class Asked:
    """A Prometheus that is asked over its API."""

    def __init__(self, port: int, http: aiohttp.ClientSession) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1/query"
        self._http = http

    async def query(self, expression: str) -> list[dict[str, Any]]:
        async with self._http.post(self._url, data={"query": expression}) as response:
            answer = await response.json()
        assert answer["status"] == "success", (expression, answer)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    async def has(self, expression: str) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            return bool(await self.query(expression))
        return False


@contextlib.asynccontextmanager
async def prometheus(directory: Path, targets: dict[str, str]) -> AsyncIterator[Asked]:
    """Run Prometheus with the delivered configuration, each job with another target."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str((PROMETHEUS / "alerts.yml").resolve())]
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    with (directory / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
    guard = Guard("kill", "-KILL")
    guard.watch(str(process.pid))
    try:
        async with aiohttp.ClientSession() as http:
            asked = Asked(port, http)
            await eventually(lambda: asked.has("vector(1)"))
            yield asked
    finally:
        process.terminate()
        await process.wait()
        guard.disarm()


@pytest.fixture(scope="module")
def watched_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A RabbitMQ that shows its metrics; its URL and the address of the metrics."""
    port = free_port()
    broker = PrivateBroker(
        tmp_path_factory.mktemp("watched"),
        configuration=f"prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {port}\n",
        plugins=("rabbitmq_prometheus",),
    )
    with broker:
        yield broker.url, f"127.0.0.1:{port}"


async def send_samples(relay: RelayProcess) -> None:
    """Send each documented payload once, as its vendor would, and one without a secret."""
    async with aiohttp.ClientSession() as http:
        for name in vendors.discover():
            for sample in vendors.samples(name):
                await post_signed(http, relay.url, name, sample.read_bytes())
        async with http.post(f"{relay.url}/in/swiftsell", data=b"{}") as response:
            assert response.status == 401


def expressions(panel: dict[str, Any]) -> list[str]:
    """Return a panel's expressions as Grafana would send them, all receivers and vendors chosen."""
    chosen = {"$instance": ".*", "$vendor": ".*", "$__rate_interval": "5s"}
    found = []
    for target in panel["targets"]:
        text = target["expr"]
        for name, value in chosen.items():
            text = text.replace(name, value)
        found.append(text)
    return found


async def test_every_panel_shows_something_and_every_alert_can_be_evaluated(
    tmp_path: Path, watched_broker: tuple[str, str]
) -> None:
    url, metrics = watched_broker
    (tmp_path / "relay").mkdir()
    async with service(tmp_path, "printing.py", url) as (consumer, events):
        relay = RelayProcess(
            tmp_path / "relay",
            broker_url=url,
            exchange=events.name,
            vendors=tuple(vendors.discover()),
            broker={"declare_topology": False},
            sources__swiftsell={"expect_every_s": 3600},
        )
        admin = next(
            json.loads(line)["address"] for line in consumer.lines() if '"listening"' in line
        )
        async with relay:
            targets = {
                "relay": f"127.0.0.1:{relay.admin_port}",
                "consumer": admin,
                "rabbitmq": metrics,
                "rabbitmq-queues": metrics,
            }
            async with prometheus(tmp_path, targets) as asked:
                await eventually(lambda: asked.has("sum(up) == 4"))
                await send_samples(relay)  # rates need a sample before and one after
                for panel in PANELS:
                    for expression in expressions(panel):
                        await eventually(lambda wanted=expression: asked.has(wanted))
                for rule in RULES:
                    await asked.query(rule["expr"])
                    for name in names_in(rule["expr"]):
                        assert await asked.has(name), name
                await eventually(lambda: asked.has('ALERTS{alertname="RelayQuarantines"}'))


def names_in(expression: str) -> set[str]:
    """Return the metrics an expression is about."""
    words = re.split(r"[^a-z0-9_:]+", expression)
    return {word for word in words if word.startswith(("relay_", "rabbitmq_"))}
