"""How far a replay has come, in a file, so that the same command goes on where it stopped."""

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
_WRITE_AFTER_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """What was asked for, in the words of whoever asked: `2h` stays `2h`.

    Args:
        history: name of the stream.
        to: the service.
        key: patterns of routing keys, with blanks between; "" for what the service is bound to.
        since: the beginning.
        until: the end, or "" for the moment it began.
    """

    history: str
    to: str
    key: str
    since: str
    until: str

    @property
    def default_path(self) -> Path:
        """Where the progress is kept unless told otherwise: another file for other words."""
        digest = blake2b(json.dumps(asdict(self)).encode(), digest_size=_DIGEST_BYTES).hexdigest()
        return _DIRECTORY / f"{word(self.to)}-{digest}.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A replay, and how far it has come.

    Args:
        id: of the replay.
        since_s, until_s: which events: recorded from since_s to before until_s, seconds since 1970.
        first_offset, end_offset: of the first and the last message to look at.
        next_offset: of the message to go on with; all before it are confirmed or not wanted.
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
            raise ValueError("the offsets are in no order")
        if self.since_s >= self.until_s:
            raise ValueError("the range is empty")

    @property
    def span(self) -> str:
        """Say which events."""
        since, until = [
            f"{datetime.fromtimestamp(it, UTC):%Y-%m-%dT%H:%M:%SZ}"
            for it in (self.since_s, self.until_s)
        ]
        return f"from {since} to before {until}"

    @property
    def is_done(self) -> bool:
        """Tell whether nothing is left to look at."""
        return self.next_offset > self.end_offset


class ProgressFile:
    """The file; see `opened`."""

    def __init__(self, path: Path, asked: ReplayRequest) -> None:
        self._path = path
        self._written_at = 0.0
        self.asked = asked
        self.latest: Progress | None = None
        """As noted last."""

    def read(self) -> None:
        """Take what is in the file for the latest.

        Raises:
            RelayError: it is another replay's, or can't be read.
        """
        try:
            document = json.loads(self._path.read_bytes())
            asked, latest = ReplayRequest(**document["asked"]), Progress(**document["progress"])
        except FileNotFoundError:
            return
        except OSError as error:
            raise RelayError(f"The file {self._path} can't be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise RelayError(
                f"The file {self._path} is no progress of a replay; --restart replaces it."
            ) from error
        if asked != self.asked:
            raise RelayError(
                f"The file {self._path} is the progress of another replay, to {asked.to} since "
                f"{asked.since}; name another --state, or --restart to give that one up."
            )
        self.latest = latest

    def note(self, progress: Progress, now: float) -> None:
        """Remember how far it has come, and write it about once a second.

        Raises:
            RelayError: it can't be written.
        """
        self.latest = progress
        if now - self._written_at >= _WRITE_AFTER_S:
            self._written_at = now
            self.write()

    def write(self) -> None:
        """Write the latest; whoever reads finds the old or the new, whole. Removed once done."""
        if self.latest is None:
            return
        beside = self._path.with_name(f"{self._path.name}.tmp")
        document = {"asked": asdict(self.asked), "progress": asdict(self.latest)}
        try:
            if self.latest.is_done:
                self._path.unlink(missing_ok=True)
                return
            with beside.open("w") as file:
                file.write(json.dumps(document, indent=2))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            raise RelayError(
                f"The file {self._path} can't be written: {error.strerror}."
            ) from error


@contextlib.contextmanager
def opened(path: Path, asked: ReplayRequest, *, is_anew: bool) -> Iterator[ProgressFile]:
    """Hold the file at path for one replay; on the way out, write what was noted last.

    Args:
        path: of the file, which need not exist.
        asked: what the replay is.
        is_anew: whether to begin anew, whatever the file says.

    Raises:
        RelayError: the same replay runs already, or the file is another replay's or can't be used.
    """
    # The lock lies beside the file, since each write replaces the file.
    lock = FileLock(path.with_name(f"{path.name}.lock"), blocking=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = lock.acquire()
    except Timeout as error:
        raise RelayError(f"This replay runs already: {path} is in use.") from error
    except OSError as error:
        raise RelayError(f"The directory {path.parent} can't be used: {error.strerror}.") from error
    with held:
        file = ProgressFile(path, asked)
        if not is_anew:
            file.read()
        try:
            yield file
        finally:
            file.write()
