"""A copy of this machine to build an image in: an overlay of its root, in a mount namespace.

It takes the place of the image's base where no container engine runs. Nothing of the machine is
changed.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_LIMIT_S = 300
_BASE = "/opt/base"  # a python and a pip that everyone may use, as the base image has
_PATH = f"{_BASE}/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Overlay:
    """What is written goes to directory.

    Args:
        directory: on a file system that overlayfs can write to.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        for name in ("upper", "work", "root"):
            (directory / name).mkdir()

    @property
    def written(self) -> Path:
        """What was added to the machine, and nothing else."""
        return self._directory / "upper"

    def prepare(self) -> str:
        """Put a python into it; return why that can't be done here, or ""."""
        python = Path(sys._base_executable).resolve()
        parents = " ".join(shlex.quote(str(parent)) for parent in python.parents)
        script = f"{shlex.quote(str(python))} -m venv {_BASE} && chmod a+x {parents}"
        done = self.run(["/bin/sh", "-euc", script], check=False)
        return done.stderr.strip() if done.returncode else ""

    def command(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        directory: str = "/",
        user: str = "0:0",
        writable: Sequence[str] | None = None,
    ) -> list[str]:
        """Return what runs a command in it.

        Args:
            command: to run.
            environment: all of it but for PATH, whose part before the base's it may say.
            directory: to run it in; made when it is missing.
            user: number and group.
            writable: all that is; everything if not given.
        """
        root, quoted = shlex.quote(str(self._directory / "root")), shlex.quote
        lines = [
            f"cd {quoted(str(self._directory))}",
            f"mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work {root}",
            f"for it in proc dev; do mount --rbind /$it {root}/$it; done",
            f"mkdir -p {root}{quoted(directory)}",
        ]
        if writable is not None:
            owner = user.partition(":")[0]
            for place in writable:
                lines += [
                    f"mkdir -p {root}{place}",
                    f"mount -t tmpfs -o mode=0700,uid={owner} tmpfs {root}{place}",
                ]
            lines.append(f"mount -o remount,ro {root}")
        given = dict(environment or {})
        given["PATH"] = given.get("PATH", "$PATH").replace(
            "$PATH", f"{_BASE}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        )
        variables = [f"{name}={value}" for name, value in given.items()]
        inside = f'cd {quoted(directory)} && exec "$@"'
        lines.append(
            f"exec chroot --userspec={user} {root} /usr/bin/env -i "
            f"{shlex.join([*variables, '/bin/sh', '-c', inside, 'sh', *command])}"
        )
        return ["unshare", "--mount", "/bin/sh", "-euc", "\n".join(lines)]

    def run(
        self, command: Sequence[str], *, check: bool = True, **options: object
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in it to its end; see `command`."""
        whole = self.command(command, **options)  # type: ignore[arg-type]  the same options
        done = subprocess.run(whole, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
        assert not check or not done.returncode, (command, done.stdout, done.stderr)
        return done


def lacks() -> str:
    """Say why there can be none here."""
    return "" if os.geteuid() == 0 else "only root can mount an overlay"
