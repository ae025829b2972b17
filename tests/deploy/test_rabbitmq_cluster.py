"""deploy/rabbitmq/ on three real nodes: a relay and services with the rights they are given."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aio_pika
import aiormq
import orjson
import pytest
import trustme
from aio_pika.abc import AbstractConnection
from aiohttp import ClientSession

from deploy.local.node import PrivateBroker
from deploy.local.private_server import free_port
from tests.deploy.test_rabbitmq_definitions import PASSWORDS, run, written
from tests.support.archive_process import ArchiveProcess
from tests.support.archives import found
from tests.support.eventually import eventually
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import SECRET, RelayProcess, numbered, post_all
from tests.support.servers.cluster import NAME, NODES, Cluster

CONFIGURATION = Path("deploy/rabbitmq/rabbitmq.conf")
DEFINITIONS = Path("deploy/rabbitmq/definitions.json").resolve()


class Delivered:
    """The cluster as it is delivered, with passwords, certificates, and addresses on loopback."""

    def __init__(self, cluster: Cluster, authority: Path, tls_ports: list[int]) -> None:
        self.cluster = cluster
        self.authority = authority
        self.tls_ports = tls_ports

    def url(self, user: str, port: int) -> str:
        return f"amqp://{user}:{PASSWORDS[user]}@127.0.0.1:{port}/"

    def urls(self, user: str) -> list[str]:
        return [self.url(user, node.port) for node in self.cluster.nodes]

    async def connect(self, user: str) -> AbstractConnection:
        return await aio_pika.connect(self.urls(user)[0])

    def columns(self, *names: str) -> dict[str, list[str]]:
        """Return columns of the list of queues, by the queue's name."""
        text = self.cluster.nodes[0].ctl("list_queues", "--formatter", "json", "name", *names)
        return {row["name"]: [row[name] for name in names] for row in json.loads(text)}


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivered]:
    directory = tmp_path_factory.mktemp("delivered")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    files = {"ca.pem": [authority.cert_pem], "node.pem": issued.cert_chain_pems}
    for name, pems in {**files, "node.key": [issued.private_key_pem]}.items():
        (directory / name).write_bytes(b"".join(pem.bytes() for pem in pems))
    tls_ports = [free_port() for _ in range(NODES)]

    def configuration(number: int) -> str:
        prometheus, management = free_port(), free_port()
        changes = {
            "/etc/rabbitmq/": f"{directory}/",
            "listeners.ssl.default = 5671": f"listeners.ssl.1 = 127.0.0.1:{tls_ports[number]}",
            "tcp.port = 15692": f"tcp.ip = 127.0.0.1\nprometheus.tcp.port = {prometheus}",
            "tcp.port = 15672": f"tcp.port = {management}",
            **{f"rabbit@rabbit-{peer + 1}": NAME.format(peer) for peer in range(NODES)},
        }
        text = CONFIGURATION.read_text()
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        return text

    plugins = ("rabbitmq_management", "rabbitmq_prometheus")
    with Cluster(directory / "nodes", configuration, plugins) as cluster:
        definitions = directory / "definitions.json"
        definitions.write_text(run(written(directory / "passwords", PASSWORDS)).stdout)
        cluster.nodes[0].ctl("import_definitions", str(definitions))
        yield Delivered(cluster, directory / "ca.pem", tls_ports)


@pytest.fixture
async def relay(delivered: Delivered, tmp_path: Path) -> AsyncIterator[RelayProcess]:
    broker = {"urls": delivered.urls("relay"), "declare_topology": False}
    broker |= {"heartbeat_s": 2, "confirm_timeout_s": 2}
    async with RelayProcess(tmp_path, broker_url="", broker=broker) as relay:
        yield relay


def test_every_queue_has_a_member_on_each_node(delivered: Delivered) -> None:
    members = delivered.columns("members")

    assert {name: len(found) for name, (found,) in members.items()} == {
        "webhooks.unrouted": NODES,
        "webhooks.quarantine": NODES,
    }


async def test_relay_and_archive_do_their_work_with_their_rights_though_a_node_dies(
    delivered: Delivered, relay: RelayProcess, tmp_path: Path
) -> None:
    cluster = delivered.cluster
    (tmp_path / "archive").mkdir()
    async with await delivered.connect("operator") as connection:
        archive = ArchiveProcess(
            tmp_path / "archive",
            database=f"sqlite:{tmp_path / 'archive.db'}",
            broker_url=",".join(delivered.urls("archive")),
            exchange="webhooks",
            connection=connection,
            queue="archive",
        )
        async with archive.running():
            accepted = await post_all(relay.url, numbered(300))
            await eventually(lambda: archive.holds(300))
            members, policy = delivered.columns("members", "policy")["archive"]

            leader = cluster.leader_of("archive")
            leader.kill()
            try:
                accepted += await post_all(relay.url, numbered(300, start=300))
                await eventually(lambda: archive.holds(600))
            finally:
                cluster.start([leader])

    assert {orjson.loads(event.body)["id"] for event in found(archive.archive)} == set(accepted)
    assert (len(accepted), len(members), policy) == (600, NODES, "services")


async def test_an_operator_sees_what_was_quarantined(
    delivered: Delivered, relay: RelayProcess, tmp_path: Path
) -> None:
    async with ClientSession() as http:
        await http.post(f"{relay.url}/in/swiftsell", data=b"{", headers={"Authorization": SECRET})
    await eventually(relay.is_drained)
    config = tmp_path / "operator.toml"
    config.write_text(f"[broker]\nurls = {json.dumps(delivered.urls('operator'))}\n")

    listed = await RelayCommand(config)("quarantine", "list", "--json")

    assert (listed.code, listed.err) == (0, "")
    assert "not_json" in listed.out


async def test_a_relay_connects_over_tls(delivered: Delivered, tmp_path: Path) -> None:
    user = f"relay:{PASSWORDS['relay']}"
    url = f"amqps://{user}@127.0.0.1:{delivered.tls_ports[1]}/?cafile={delivered.authority}"
    broker = {"urls": [url], "declare_topology": False}

    async with RelayProcess(tmp_path, broker_url="", broker=broker) as relay:
        await eventually(lambda: relay.lines("broker connected"))


REFUSED = [
    ("relay", "get", "webhooks.quarantine"),
    ("relay", "queue", "relay-own"),
    ("relay", "exchange", "relay-own"),
    ("relay", "publish", "amq.topic"),
    ("relay", "publish", ""),
    ("archive", "get", "webhooks.unrouted"),
    ("archive", "queue", "forward-crm"),
    ("archive", "exchange", "webhooks.mine"),
    ("archive", "publish", "webhooks"),
    ("archive", "publish", "webhooks.quarantine"),
    ("archive", "publish", ""),
    ("archive", "bind", "webhooks.unrouted"),
]


@pytest.mark.parametrize(("user", "what", "name"), REFUSED)
async def test_what_a_user_has_no_business_with_is_refused(
    delivered: Delivered, user: str, what: str, name: str
) -> None:
    async with await delivered.connect(user) as connection:
        channel = await (await connection.channel()).get_underlay_channel()
        attempts = {
            "get": lambda: channel.basic_get(name),
            "queue": lambda: channel.queue_declare(name, durable=True),
            "exchange": lambda: channel.exchange_declare(name),
            "publish": lambda: channel.basic_publish(b"", exchange=name, routing_key="archive"),
            "bind": lambda: channel.queue_bind(name, "webhooks", routing_key="#"),
        }

        with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
            await attempts[what]()


async def test_a_user_without_a_password_is_let_in_by_nobody(own_broker: PrivateBroker) -> None:
    own_broker.ctl("import_definitions", str(DEFINITIONS))

    for password in ("", "relay"):
        with pytest.raises(aiormq.exceptions.AMQPConnectionError):
            await aio_pika.connect(f"amqp://relay:{password}@127.0.0.1:{own_broker.port}/")
