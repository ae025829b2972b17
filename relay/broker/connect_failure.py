"""What it means that a connection to RabbitMQ can't be opened, and what to do about it."""

import asyncio
import re
import socket
import ssl
import traceback

import aiormq.exceptions
from pamqp import commands as spec

from relay.broker import certificates
from relay.errors import words_of

_VHOST_ADVICE = (
    (
        re.compile("not found"),
        "create it (`rabbitmqctl add_vhost`), or name another in broker.urls",
    ),
    (re.compile("access to vhost"), "give this user the right (`rabbitmqctl set_permissions`)"),
    (re.compile("limit"), "raise the limit, or close other connections"),
)
"""By RabbitMQ's words."""
_OTHER_PORT = (
    "unless it is just starting or stopping, broker.urls needs the port of RabbitMQ's AMQP "
    "listener, usually 5672, or amqps:// and that of its TLS listener, usually 5671"
)


def described(error: BaseException, *, limit_s: float) -> str:
    """Return what RabbitMQ did, and what to do: the end of a sentence without its full stop.

    Args:
        error: of the libraries.
        limit_s: how long RabbitMQ had.
    """
    match error:
        case TimeoutError():
            return f"did not answer within {limit_s:g} s; a firewall may be in between"
        case aiormq.exceptions.ProbableAuthenticationError():
            return (
                "refused the user name or password; correct them in broker.urls, special "
                "characters percent-encoded, or in RabbitMQ (`rabbitmqctl change_password`)"
            )
        case aiormq.exceptions.AuthenticationError():
            return "offers no login method this relay knows"
        case aiormq.exceptions.InvalidFrameError() if "Connection.OpenOk" in str(error):
            # The broker closed the connection instead of opening the virtual host.
            words = _refusal(error)
            advice = [f"; {text}" for pattern, text in _VHOST_ADVICE if pattern.search(words)]
            return f"refused the virtual host: {words}{''.join(advice[:1])}"
        case aiormq.exceptions.IncompatibleProtocolError():
            return f"does not speak AMQP 0-9-1; {_OTHER_PORT}"
        case _:
            words = words_of(error) or type(error).__name__
            reason = certificates.problem(error) or words.rstrip(".") + _advice(error)
            return f"can't be reached: {reason}"


def _advice(error: BaseException) -> str:
    """Return what to do, after a semicolon; "" where that is not known."""
    match error:
        case ssl.SSLError():  # not wrapped by aiormq: nothing was sent yet
            return "; correct the files that cafile, certfile and keyfile name in broker.urls"
        case ConnectionError(__cause__=ssl.SSLError(reason="WRONG_VERSION_NUMBER")):
            return "; amqps:// needs the port of RabbitMQ's TLS listener, usually 5671"
        case ConnectionError(__cause__=ConnectionRefusedError()):
            return "; check that RabbitMQ runs there, and that this is its port"
        case ConnectionError(__cause__=socket.gaierror()):
            return "; correct the host in broker.urls, or the name service"
        case ConnectionError(__cause__=asyncio.IncompleteReadError()):
            return f"; {_OTHER_PORT}"
        case _:
            return ""


def _refusal(error: BaseException) -> str:
    """Return the broker's words, which aiormq 7.2 drops: they are in the frame it did not expect.

    Can go once aiormq raises ConnectionClosed here.
    """
    for stack_frame, _ in traceback.walk_tb(error.__traceback__):
        for value in stack_frame.f_locals.values():
            if isinstance(value, spec.Connection.Close):
                return value.reply_text.rstrip(".")
    return "it does not exist, this user may not use it, or a limit of connections is reached"
