"""The end of a process that a blocked thread would keep alive."""

import os
import threading

import structlog

from relay.process import log_writer
from relay.process.command import FAILED

_EXIT_TIMEOUT_S = 5.0

log = structlog.get_logger("relay")


def exit_soon() -> None:
    """Exit in 5 s even if a thread hangs on a disk or a database: Python would wait for it forever.

    To be called when all is done.
    """

    def exit_now() -> None:
        log.error("exit forced", threads=[thread.name for thread in threading.enumerate()])
        log_writer.flush()
        os._exit(FAILED)

    timer = threading.Timer(_EXIT_TIMEOUT_S, exit_now)
    timer.daemon = True  # the process does not wait for it
    timer.start()
