"""What a PostgreSQL URL says, as psycopg wants it. Needs psycopg, an extra of the package."""

import psycopg
from psycopg.conninfo import conninfo_to_dict


def address_of(url: str) -> dict[str, str]:
    """Return the parameters of a connection.

    A password with a bare `@`, `/` or `%` would end up in the host, the port or the database's
    name, and so in the text of an error. Neither is this function's, nor has it a cause.

    Raises:
        ValueError: that is no URL of a database.
    """
    try:
        address = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except psycopg.ProgrammingError:
        address = {"host": "@"}
    names = address.get("host", "") + address.get("dbname", "")
    ports = address.get("port", "").split(",")  # one for each host
    if "@" in names or any(port and not port.isdecimal() for port in ports):
        raise ValueError("it is no PostgreSQL URL; percent-encode special characters")
    return address
