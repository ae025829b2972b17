"""What comes out of RabbitMQ, and a PostgreSQL, for the tests of what is in deploy/."""

import os
from pathlib import Path

import pytest

from tests.broker.conftest import postgres, postgres_url, recorder

__all__ = ["postgres", "postgres_url", "recorder"]


@pytest.fixture(scope="session")
def image_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the whole run, for the compiled wheel that is in the image."""
    own = tmp_path_factory.getbasetemp()
    of_run = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    return of_run / "image-wheel"
