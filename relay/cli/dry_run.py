"""What would become of deliveries: of one, or of all in a folder. Nothing is stored or sent."""

import os
import secrets
import time
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from relay.errors import RelayError, Unauthenticated
from relay.ingress.processing import ProcessedDelivery, Source, process_delivery
from relay.vendors import is_sample
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request

_MAX_ENTRIES = 100_000
"""Of a folder and all below it: somebody may name the wrong one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What would become of a delivery.

    Args:
        processed: its events, or why it would be quarantined.
        new_ids: those that a resend would not have.
        is_authenticated: whether a secret was found in it.
        is_redacting: whether its source has `redact`.
    """

    processed: ProcessedDelivery
    new_ids: frozenset[str]
    is_authenticated: bool
    is_redacting: bool

    @property
    def status(self) -> str:
        """What would become of it, in one word."""
        if self.processed.reason:
            return "quarantined"
        return "accepted" if self.processed.messages or self.processed.ignored else "handshake"


def inspect(delivery: Request, source: Source, *, must_authenticate: bool = False) -> Inspection:
    """Return what would become of a delivery.

    Args:
        delivery: as it would come in.
        source: where.
        must_authenticate: whether one without a live secret would be refused; else it is taken as
            authenticated.

    Raises:
        RelayError: it would be refused.
    """
    is_authenticated = True
    try:
        source.vendor.authenticate(delivery, source.secrets)
    except Unauthenticated as error:
        if must_authenticate:
            raise RelayError(f"It would be refused with 401: {error}.") from error
        source, is_authenticated = replace(source, secrets=Secrets(())), False
    now = time.time()
    processed, resent = (
        process_delivery(delivery, source, now, secrets.token_hex(16)) for _ in range(2)
    )
    new_ids = {message.id for message in processed.messages}
    new_ids -= {message.id for message in resent.messages}
    return Inspection(
        processed=processed,
        new_ids=frozenset(new_ids),
        is_authenticated=is_authenticated,
        is_redacting=bool(source.rules and source.rules.redaction),
    )


def _may_be_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return True  # whoever reads it says why that can't be done


def payloads_in(folder: Path) -> list[Path]:
    """Return the payloads in a folder and below it: `.json` and `.txt`, but no `.expected.json`.

    Raises:
        RelayError: there is none, or the folder is too large or can't be read.
    """
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise RelayError(f"The folder {folder} can't be read: {error.strerror}.") from error
    entries = list(islice(folder.rglob("*"), _MAX_ENTRIES + 1))
    if len(entries) > _MAX_ENTRIES:
        raise RelayError(f"{folder} has more than {_MAX_ENTRIES:,} files: is it the right folder?")
    found = sorted(path for path in entries if is_sample(path.name) and _may_be_file(path))
    if not found:
        raise RelayError(f"There is no payload in {folder}: no .json and no .txt.")
    return found
