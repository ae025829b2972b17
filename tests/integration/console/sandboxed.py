"""`relay` where the kernel refuses to change how a process is scheduled, as a sandbox may.

    python -m tests.integration.console.sandboxed console --config FILE

A seccomp filter (https://docs.kernel.org/userspace-api/seccomp_filter.html) answers EPERM to
sched_setscheduler.
"""

import ctypes
import errno
import platform
import struct
import sys

from relay.cli.main import main

NUMBERS = {"x86_64": 144, "aarch64": 119}
"""Of the system call, by machine."""
_SET_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2  # of prctl
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # of classic BPF
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def refuse_scheduling() -> None:
    """Have sched_setscheduler fail from now on."""
    instructions = [
        (_LOAD, 0, 0, 0),  # the number of the call
        (_JUMP_IF_EQUAL, 0, 1, NUMBERS[platform.machine()]),
        (_RETURN, 0, 0, _FAIL | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = b"".join(struct.pack("HBBI", *each) for each in instructions)
    program = _Program(len(instructions), code)
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0),
        (_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), "prctl failed")


if __name__ == "__main__":
    refuse_scheduling()
    sys.argv[0] = "relay"
    main()
