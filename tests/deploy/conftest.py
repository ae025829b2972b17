"""What comes out of RabbitMQ, for the tests of what is in deploy/."""

from tests.broker.conftest import recorder

__all__ = ["recorder"]
