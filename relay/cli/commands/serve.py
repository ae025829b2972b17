"""`relay serve`: the relay itself, as one process or as a supervisor and its workers."""

import sys
from pathlib import Path

import click

from relay.errors import RelayError, SettingsError, UnfitLibrary
from relay.observability import logs
from relay.process import collector, libraries
from relay.process.command import FAILED, WRONG_SETTINGS, config_option, run
from relay.process.forced_exit import exit_soon
from relay.settings import Settings, load
from relay.workers import worker as worker_pipes
from relay.workers.worker import Worker

_OTHER_STEPS_S = 10.0
"""A worker's time to stop, beside what settings bound: two waits for what comes in and goes out,
and one for a disk."""


@click.command("serve")
@config_option
@click.option(
    "--worker",
    type=(int, int, int, click.Path(path_type=Path)),
    hidden=True,
    help="Which of how many workers, their port, and a socket to answer on; see relay/workers.",
)
def command(config: Path | None, worker: tuple[int, int, int, Path] | None) -> None:
    """Run the relay until SIGTERM.

    SIGHUP reads sources and secrets again.
    """
    if worker:
        number, count, port, admin_socket = worker
        _work(config, Worker(number=number, count=count, port=port, admin_socket=admin_socket))
        return
    settings = load(config)
    logs.configure(style=settings.log.format, level=settings.log.level)
    if settings.ingress.workers > 1:
        _supervise(settings, config)
    else:
        _serve(settings, config, None)


def _serve(settings: Settings, config: Path | None, worker: Worker | None) -> None:
    collector.pause()
    with libraries.required():
        from relay import app  # noqa: PLC0415  a supervisor starts sooner without it
    collector.resume()

    try:
        run(app.serve(settings, config, worker))
    finally:
        exit_soon()


def _work(config: Path | None, worker: Worker) -> None:
    """Serve as a worker, whose errors the supervisor shows."""
    try:
        settings = load(config)
        logs.configure(style=settings.log.format, level=settings.log.level, worker=worker.number)
        _serve(settings, config, worker)
    except SettingsError as error:
        worker_pipes.report_problems(error.problems)
        sys.exit(WRONG_SETTINGS)
    except RelayError as error:
        worker_pipes.report_problems([str(error)])
        sys.exit(WRONG_SETTINGS if isinstance(error, UnfitLibrary) else FAILED)


def _supervise(settings: Settings, config: Path | None) -> None:
    from relay.workers.supervisor import Supervisor  # noqa: PLC0415  a single process needs none

    supervisor = Supervisor(
        command=[
            *(sys.executable, "-m", "relay", "serve"),
            *(("--config", str(config)) if config else ()),
        ],
        count=settings.ingress.workers,
        address=(settings.ingress.host, settings.ingress.port),
        admin_address=(settings.admin.host, settings.admin.port),
        stop_limit_s=2 * settings.ingress.shutdown_grace_s
        + settings.outbox.write_timeout_s
        + _OTHER_STEPS_S,
    )
    run(supervisor.run())
