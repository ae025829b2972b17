"""RabbitMQ itself says which routing keys a pattern stands for; the replay's matcher agrees."""

import itertools

from aio_pika import Message
from aio_pika.abc import AbstractConnection

from relay.cli.replay.topic_pattern import matcher

WORDS = ("a", "b", "")
PATTERNS = [
    *("", "#", "*", "a", "*.*", "#.#", "*.#", "#.*", "a.#", "#.a", "a.*", "*.a", "a.#.b"),
    *("#.a.#", "*.a.*", "a.*.#", "#.*.a", "a#", "*a.b", ".", ".#", "#.", "*.", "a..b"),
]


async def test_the_broker_routes_what_the_matcher_matches(
    connection: AbstractConnection, exchange: str
) -> None:
    keys = [
        ".".join(words) for count in range(4) for words in itertools.product(WORDS, repeat=count)
    ]
    async with connection.channel() as channel:
        topic = await channel.declare_exchange(exchange, "topic", auto_delete=True)
        queues = {pattern: await channel.declare_queue(exclusive=True) for pattern in PATTERNS}
        for pattern, queue in queues.items():
            await queue.bind(topic, pattern)
        for key in set(keys):
            await topic.publish(Message(b""), key, mandatory=False)

        routed = {}
        for pattern, queue in queues.items():
            routed[pattern] = set()
            while message := await queue.get(no_ack=True, fail=False):
                routed[pattern].add(message.routing_key)

    for pattern in PATTERNS:
        assert routed[pattern] == set(filter(matcher(pattern), keys)), pattern
