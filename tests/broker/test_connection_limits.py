"""A limit of RabbitMQ on connections is reported in its own words."""

from collections.abc import Iterator

import pytest

from deploy.local.broker import PrivateBroker
from relay.broker.connection import connect
from relay.errors import BrokerError
from tests.support.servers import administration


@pytest.fixture(params=["vhost", "user"])
def limited_url(request: pytest.FixtureRequest, own_broker: PrivateBroker) -> Iterator[str]:
    """The URL of a broker that allows no connection to this virtual host, or of this user."""
    administration.add_vhost(own_broker, "limited")
    administration.set_permissions(own_broker, "guest", (".*", ".*", ".*"), "limited")
    limits = '{"max-connections": 0}'
    if request.param == "vhost":
        administration.set_vhost_limits(own_broker, "limited", limits)
    else:
        administration.set_user_limits(own_broker, "guest", limits)
    yield f"{own_broker.url.rstrip('/')}/limited"
    administration.clear_user_limits(own_broker, "guest", "max-connections")
    administration.delete_vhost(own_broker, "limited")


async def test_a_limit_on_connections_is_told_in_the_words_of_the_broker(limited_url: str) -> None:
    with pytest.raises(BrokerError) as caught:
        await connect(limited_url, heartbeat_s=10)

    assert "connection limit (0) is reached" in str(caught.value)
    assert "does not exist" not in str(caught.value)
