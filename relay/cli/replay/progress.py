"""How far a replay has come, in a file, so that the same command resumes where it stopped."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

from filelock import FileLock, Timeout

from relay.errors import RelayError
from relay.events.topology import word

_DIRECTORY = Path("var/replay")
_DIGEST_BYTES = 6
_SAVE_INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """What was asked for, in the user's own words: `2h` stays `2h`.

    Args:
        history: name of the stream.
        to: the service.
        key: patterns of routing keys, separated by blanks; "" for the bindings of the service.
        since: the beginning.
        until: the end, or "" for the start of the replay.
    """

    history: str
    to: str
    key: str
    since: str
    until: str

    @property
    def default_path(self) -> Path:
        """Where the progress is kept by default; each request has a file of its own."""
        digest = blake2b(json.dumps(asdict(self)).encode(), digest_size=_DIGEST_BYTES).hexdigest()
        return _DIRECTORY / f"{word(self.to)}-{digest}.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A replay, and how far it has come.

    Args:
        id: of the replay.
        since_s: only events recorded from then on, in seconds since 1970.
        until_s: only events recorded before.
        first_offset: of the first message to read.
        next_offset: of the message to resume with; all before it are confirmed or not wanted.
        end_offset: of the last message to read.
        published: events confirmed so far.
    """

    id: str
    since_s: int
    until_s: int
    first_offset: int
    next_offset: int
    end_offset: int
    published: int

    def __post_init__(self) -> None:
        if not 0 <= self.first_offset <= self.next_offset <= self.end_offset + 1:
            raise ValueError("the offsets are out of order")
        if self.since_s >= self.until_s:
            raise ValueError("the range is empty")

    @property
    def time_range(self) -> str:
        """Describe which events are replayed."""
        return f"from {_utc(self.since_s)} to before {_utc(self.until_s)}"

    @property
    def is_done(self) -> bool:
        """Return whether no message is left to read."""
        return self.next_offset > self.end_offset


def _utc(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


class ProgressFile:
    """The file of one replay; see `open_progress`."""

    def __init__(self, path: Path, request: ReplayRequest) -> None:
        self._path = path
        self._saved_at = 0.0
        self.request = request
        self.latest: Progress | None = None
        """May be up to a second ahead of the file; None before the replay has begun."""

    def load(self) -> None:
        """Set `latest` from the file, if there is one.

        Raises:
            RelayError: it is another replay's, or can't be read.
        """
        try:
            document = json.loads(self._path.read_bytes())
            request, latest = ReplayRequest(**document["asked"]), Progress(**document["progress"])
        except FileNotFoundError:
            return
        except OSError as error:
            raise RelayError(f"The file {self._path} can't be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise RelayError(
                f"The file {self._path} is no progress of a replay; --restart replaces it."
            ) from error
        if request != self.request:
            raise RelayError(
                f"The file {self._path} is the progress of another replay, to {request.to} since "
                f"{request.since}; name another --state, or --restart to give that one up."
            )
        self.latest = latest

    def update(self, progress: Progress, now: float) -> None:
        """Set `latest`, and save it about once a second.

        Raises:
            RelayError: it can't be saved.
        """
        self.latest = progress
        if now - self._saved_at >= _SAVE_INTERVAL_S:
            self._saved_at = now
            self.save()

    def save(self) -> None:
        """Replace the file as a whole by `latest`; remove it once the replay is done.

        Raises:
            RelayError: it can't be written.
        """
        if self.latest is None:
            return
        document = {"asked": asdict(self.request), "progress": asdict(self.latest)}
        new = self._path.with_name(f"{self._path.name}.tmp")
        try:
            if self.latest.is_done:
                self._path.unlink(missing_ok=True)
                return
            with new.open("w") as file:
                json.dump(document, file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            raise RelayError(
                f"The file {self._path} can't be written: {error.strerror}."
            ) from error


@contextlib.contextmanager
def open_progress(path: Path, request: ReplayRequest, *, restart: bool) -> Iterator[ProgressFile]:
    """Hold the file at path for one replay; save the latest progress on the way out.

    Args:
        path: of the file, which need not exist.
        request: what to replay.
        restart: whether to ignore what the file says.

    Raises:
        RelayError: the same replay runs already, or the file is another replay's or can't be used.
    """
    # The lock lies beside the file, since each save replaces the file.
    lock = FileLock(path.with_name(f"{path.name}.lock"), blocking=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = lock.acquire()
    except Timeout as error:
        raise RelayError(f"This replay runs already: {path} is in use.") from error
    except OSError as error:
        raise RelayError(f"The directory {path.parent} can't be used: {error.strerror}.") from error
    with held:
        file = ProgressFile(path, request)
        if not restart:
            file.load()
        try:
            yield file
        finally:
            file.save()
