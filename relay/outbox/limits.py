"""What an outbox may take beside its disk, and how long it waits for it. Values only."""

from dataclasses import dataclass

from relay.outbox import database, space


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxLimits:
    """The limits of an outbox. All but the first fit every receiver, so they are no settings.

    Args:
        write_timeout_s: how long a commit, or a read, may take.
        queued_bytes: bodies that wait for a commit. At the slowest disk worth using, the default
            is some seconds of traffic.
        recent_bytes: committed rows kept in memory for the forwarder; beyond it they are read
            from disk.
        read_bytes: what one read returns, give or take a row; so much is published at once.
        log_bytes: size beyond which the database's log is emptied by force.
        check_file_every_s: how often to check that the database was not removed.
        keep_up_every_s: how often to look for disk space that can be given back, and to give it
            back beside deliveries: each time costs an fsync.
    """

    write_timeout_s: float = 10
    queued_bytes: int = 64 * 1024 * 1024
    recent_bytes: int = 16 * 1024 * 1024
    read_bytes: int = database.MAX_READ_BYTES
    log_bytes: int = space.MAX_LOG_BYTES
    check_file_every_s: float = 1
    keep_up_every_s: float = 1


DEFAULT_LIMITS = OutboxLimits()
