"""What comes out of RabbitMQ, and a PostgreSQL, for the tests of what is in deploy/."""

from tests.broker.conftest import postgres, postgres_url, recorder

__all__ = ["postgres", "postgres_url", "recorder"]
