"""A command line in, the same command running out, which gets SIGTERM when its parent is gone, even by SIGKILL.

Run as a script: `python -I tether.py PARENT_PID COMMAND ...`. It becomes the command, so the process id stays.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Bind this process to its parent and become `argv[1:]`."""
    end_with_parent()
    if os.getppid() != int(argv[0]):  # gone already, so that no signal will come
        sys.exit(1)
    os.execv(argv[1], argv[1:])  # noqa: S606  # the command is the caller's own


def end_with_parent() -> None:
    """Have the kernel send this process SIGTERM when its parent ends; on Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
