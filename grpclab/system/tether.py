"""Start a program that the kernel ends with its parent: ``python tether.py PARENT SIGNAL PROGRAM [ARGUMENT...]``.

It becomes PROGRAM, which gets SIGNAL when the process PARENT ends, in whatever way (Linux; elsewhere it just becomes
it). What that program starts does not get it. Run by its path, with the standard library alone: it has to be quick.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import NoReturn

SET_PDEATHSIG, SET_CHILD_SUBREAPER = 1, 36
"""Of prctl(2)."""


def prctl(option: int, value: int) -> bool:
    """Ask the kernel for something about this process; whether it could be had."""
    try:
        return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


def main() -> NoReturn:
    """See the module's docstring."""
    parent, number, *words = sys.argv[1:]
    prctl(SET_PDEATHSIG, int(number))
    if os.getppid() != int(parent):
        os._exit(1)  # it ended before the kernel knew
    for changed in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and so would the program
        signal.signal(changed, signal.SIG_DFL)
    try:
        os.execvp(words[0], words)
    except OSError as error:
        os.write(2, f"{words[0]}: {error.strerror}\n".encode())
        os._exit(127)


if __name__ == "__main__":
    main()
