"""What all tests share: a RabbitMQ of their own, and names nobody else uses on it."""

import os
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aio_pika
import pytest

from deploy.local.broker import PrivateBroker, open_broker
from relay.events import topology
from relay.process import collector
from tests.support.cleanup import delete_queues
from tests.support.relay_process import nothing_set_outside

# Where this is set, each worker would compile all tests, and each process that a test starts would
# compile the relay.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

collector.pause()  # until all tests are collected; see there

SAMPLES = Path("relay/vendors/samples")
TIERS = [
    *("faults", "deploy", "broker", "hostile", "local", "interop"),
    *("integration", "model", "powercut", "fuzz", "unit"),
]
"""The slowest first, so that no worker is left with the longest files at the end."""

SLOWEST_FILES = {
    "deploy/test_container.py",
    "deploy/edge/test_edge.py",
    "deploy/test_rabbitmq_cluster.py",
    "broker/cli/checks/test_deep.py",
    "broker/cli/replay/test_interrupted_replay.py",
    "broker/cli/replay/test_replay.py",
    "broker/cli/test_capture.py",
    "broker/cli/test_run.py",
    "broker/cli/test_tail_outages.py",
    "broker/console/test_recovery.py",
    "broker/console/test_tasks.py",
    "broker/consumers/kit/test_deadly_events.py",
    "broker/consumers/kit/test_process.py",
    "broker/parking/test_parking.py",
    "integration/broker/test_silent_broker.py",
    "integration/console/test_silent_sources.py",
    "integration/ingress/test_drift.py",
    "integration/ingress/test_processing_subprocess.py",
    "integration/openapi/test_answers.py",
    "integration/outbox/test_checkpoints.py",
    "integration/outbox/test_orphans.py",
    "integration/outbox/test_space.py",
    "integration/process/test_libraries.py",
    "integration/process/test_rights.py",
    "unit/cli/documents/test_completion.py",
    "unit/vendors/test_odd_fields.py",
    "unit/vendors/test_vendor_properties.py",
}
"""Those of 10 s and more, or of 5 s of CPU, come first in their tier, for the same reason."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files, each of which is the work of one worker, by how long they take."""
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> tuple[int, bool]:
        file = item.path.relative_to(here)
        return TIERS.index(file.parts[0]), file.as_posix() not in SLOWEST_FILES

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """End the pause: what was collected lives as long as the run."""
    collector.resume()


@pytest.fixture(scope="session")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A RabbitMQ for the whole run: RELAY_BROKER__URLS if set, else one started for it."""
    with open_broker(tmp_path_factory.mktemp("rabbitmq")) as urls:
        yield urls.split(",")[0]


@pytest.fixture(scope="session")
def own_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    """A second node, started when a test first mistreats it."""
    with PrivateBroker(tmp_path_factory.mktemp("own_rabbitmq")) as broker:
        yield broker


@pytest.fixture
def own_broker(own_node: PrivateBroker) -> Iterator[PrivateBroker]:
    """A node that a test may stop, kill, block and mistreat."""
    yield own_node
    if not own_node.pids:
        own_node.start()


@pytest.fixture(autouse=True)
def no_settings_from_outside() -> Iterator[None]:
    """Settings of whoever runs the tests must not reach the relays under test.

    A broker given as RELAY_BROKER__URLS has been taken note of by then: `broker_url` comes first.
    """
    with nothing_set_outside():
        yield


@pytest.fixture
def exchange() -> str:
    """The name of an exchange that only this test uses."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def connection(broker_url: str) -> AsyncIterator[aio_pika.abc.AbstractConnection]:
    """A connection to look at the broker with."""
    async with await aio_pika.connect(broker_url) as connection:
        yield connection


@pytest.fixture
async def declared(
    connection: aio_pika.abc.AbstractConnection, exchange: str
) -> AsyncIterator[topology.Topology]:
    """The topology as declared by the relay; taken down at the end."""
    wanted = topology.topology(exchange, unrouted_max_length=1000, quarantine_max_length=1000)
    yield wanted
    await delete_queues(connection, wanted.queues)
    channel = await connection.channel()
    for declared in wanted.exchanges:
        await channel.exchange_delete(declared.name)
