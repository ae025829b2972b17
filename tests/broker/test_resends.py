"""What is sent twice is archived twice, unless its vendor lets us know that it is the same."""

import json
from collections import Counter
from pathlib import Path

from aio_pika.abc import AbstractConnection

from consumers.kit.queues import topology as consumer_topology
from relay.events import topology
from tests.support.archive_process import ArchiveProcess
from tests.support.archives import found
from tests.support.cleanup import delete_queues
from tests.support.eventually import eventually
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import RelayProcess

TOLD_APART = [
    ("intercom", "02-conversation.user.replied"),
    ("line", "01-message-text"),
    ("meta", "01-whatsapp-text"),
    ("meta", "10-messenger-text"),
    ("zendesk", "01-ticket.created"),
    ("telegram", "01-message-text"),
    ("chatwoot", "01-message_created-incoming"),
    ("chatwoot", "10-conversation_updated-assignee"),
    ("crisp", "01-message_send-text"),
    ("crisp", "11-session_set_state-resolved"),
    ("livechat", "03-incoming_event-message"),
    ("channeltalk", "01-message-push.repaired"),
    ("pickyassist", "02-chat_accepted"),
    ("pickyassist", "incoming-message"),
    ("pickyassist", "outgoing-echo"),
    ("supporthunt", "02-message-text"),
    ("swiftsell", "02-message-text"),
]
TOLD_APART_BY_NOTHING = [
    ("acquire", "04-chat_on_message-short.repaired"),
    ("acquire", "01-case_status-closed"),
    ("chatwoot", "15-contact_updated"),
    ("livechat", "15-thread_tagged"),
    ("meta", "09-whatsapp-template"),
    ("pickyassist", "07-kicked_out_of_a_conversation"),
]

ARCHIVED = {
    "channeltalk": 1,
    "intercom": 1,
    "line": 1,
    "meta": 4,
    "zendesk": 1,
    "telegram": 1,
    "chatwoot": 4,
    "crisp": 2,
    "livechat": 3,
    "supporthunt": 1,
    "swiftsell": 1,
    "acquire": 4,
    "pickyassist": 5,
}
"""Events by vendor, once all was sent twice."""


async def test_what_is_sent_twice_is_archived_once_only_where_something_tells_it_apart(
    tmp_path: Path,
    broker_url: str,
    exchange: str,
    connection: AbstractConnection,
    declared: topology.Topology,  # noqa: ARG001  takes down what the relay declares
) -> None:
    samples = TOLD_APART + TOLD_APART_BY_NOTHING
    vendors = tuple({vendor for vendor, _ in samples})
    for name in ("relay", "archive"):
        (tmp_path / name).mkdir()
    command = RelayCommand(tmp_path / "relay" / "relay.toml")
    process = ArchiveProcess(
        tmp_path / "archive",
        database=f"sqlite:{tmp_path / 'archive.db'}",
        broker_url=broker_url,
        exchange=exchange,
        connection=connection,
        retry_delays_s=[0.05],
    )

    try:
        async with (
            RelayProcess(
                tmp_path / "relay", broker_url=broker_url, exchange=exchange, vendors=vendors
            ) as relay,
            process.running(),
        ):
            sent = []
            for vendor, sample in samples * 2:
                arguments = ("send", vendor, sample, "--json", "--url", relay.url)
                (event_id,) = json.loads((await command(*arguments)).out)["ids"]
                sent.append(event_id)
            await eventually(lambda: process.holds(len(set(sent))))
            await eventually(process.is_empty)
    finally:
        queues = consumer_topology.topology(exchange, retry_delays_s=[0.05], dead_max_length=1)
        await delete_queues(connection, queues.queues)

    keys = Counter(archived.routing_key.partition(".")[0] for archived in found(process.archive))
    assert keys == ARCHIVED
    assert len(set(sent)) == len(TOLD_APART) + 2 * len(TOLD_APART_BY_NOTHING)
