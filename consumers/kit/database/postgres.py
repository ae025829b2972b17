"""A PostgreSQL URL as psycopg wants it. Needs psycopg, an extra of the package.

A pooler such as PgBouncer may give each transaction another session of the server. So nothing that
outlives a transaction is used: no prepared statement, no `SET`, no lock of a session.
"""

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict


def connection_parameters(url: str) -> dict[str, Any]:
    """Return the parameters of a connection.

    A password with a bare `@`, `/` or `%` would end up in the host, the port or the database's
    name, and so in the text of an error. This function's error shows nothing of the URL.

    Raises:
        ValueError: that is no URL of a database.
    """
    try:
        parameters = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except psycopg.ProgrammingError:
        parameters = {"host": "@"}
    names = parameters.get("host", "") + parameters.get("dbname", "")
    ports = parameters.get("port", "").split(",")  # one for each host
    if "@" in names or any(port and not port.isdecimal() for port in ports):
        raise ValueError("it is no PostgreSQL URL; percent-encode special characters")
    return parameters | {"prepare_threshold": None}
