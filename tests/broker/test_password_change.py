"""RabbitMQ's password changes while relay and services run: they read the new one themselves."""

import signal
from pathlib import Path

from deploy.local.broker import PrivateBroker
from tests.support.eventually import eventually
from tests.support.relay_process import RelayProcess
from tests.support.servers import administration
from tests.support.service_process import Service

USER = "rotating"


async def test_relay_and_service_come_back_with_the_password_that_is_in_the_file_by_then(
    tmp_path: Path, own_broker: PrivateBroker, exchange: str
) -> None:
    def write_password(password: str) -> None:
        file.write_text(own_broker.url.replace("guest:guest", f"{USER}:{password}"))

    file = tmp_path / "broker-url"
    url = f"file:{file}"
    administration.add_user(own_broker, USER, "before")
    administration.set_permissions(own_broker, USER, (".*", ".*", ".*"))
    write_password("before")
    (tmp_path / "service").mkdir()
    service = Service(tmp_path / "service", "printing.py", url=url, exchange=exchange)
    try:
        async with RelayProcess(tmp_path, broker_url=url, exchange=exchange) as relay:
            await eventually(lambda: relay.lines("broker connected"))
            await service.start()
            await eventually(lambda: service.logged("consuming") == 1)

            administration.change_password(own_broker, USER, "after")
            own_broker.ctl("close_all_connections", "the password was changed")
            await eventually(lambda: "user name or password" in relay.lines()[-1].get("reason", ""))
            write_password("after")

            await eventually(lambda: len(relay.lines("broker connected")) == 2)
            await eventually(lambda: service.logged("consuming") == 2)
            assert await service.end(signal.SIGTERM) == 0
    finally:
        administration.delete_user(own_broker, USER)
