"""Handlers and how the kit calls them."""

from typing import Any

from consumers.kit.consumer import Consumer
from consumers.kit.consuming.calling import (
    Caller,
    caller_of,
)


def one_by_one(handler: Any, timeout_s: float = 60) -> Caller:
    consumer = Consumer("crm-sync", bindings=["#"], handler=handler)
    return caller_of(consumer, seen=None, timeout_s=timeout_s)


def in_batches(handler: Any, timeout_s: float = 60, limit: int = 1000) -> Caller:
    consumer = Consumer("crm-sync", bindings=["#"])
    consumer.batch_handler(limit=limit)(handler)
    return caller_of(consumer, seen=None, timeout_s=timeout_s)
