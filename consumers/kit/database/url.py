"""Where a database is: `sqlite:PATH`, or a PostgreSQL server's URL. Pure."""

from pathlib import Path

NEEDS_PSYCOPG = "PostgreSQL needs psycopg: pip install 'psycopg[binary]'"


def parse_database_url(url: str) -> Path | str:
    """Return the path of an SQLite file, or the URL of a PostgreSQL database.

    Raises:
        ValueError: it is neither.
    """
    scheme, _, path = url.partition(":")
    if scheme == "sqlite" and path:
        return Path(path)
    if scheme in {"postgresql", "postgres"}:
        return url
    raise ValueError("give sqlite:PATH or postgresql://user:password@host/database")
