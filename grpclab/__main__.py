"""The program ``grpclab``, also as ``python -m grpclab``: a signal has its line from the start."""

import gc
import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # the working folder: a file there that is called as a module is not meant

from grpclab.system import interrupts, terminal, ulimits


def main() -> int:
    """Run the command that the arguments name; returns its exit code."""
    if refused := terminal.open_streams():
        print(f"grpclab: {refused}", file=sys.stderr)
        return 2
    if refused := ulimits.memory_too_small():
        print(f"grpclab: {refused}", file=sys.stderr)
        return 3
    gc.disable()  # until a command runs: what is loaded for it is no garbage
    try:
        return _main()
    finally:
        if not gc.isenabled():  # none ran: --help, a usage error, TAB
            gc.freeze()  # the end of the process looks through all of it once more


def _main() -> int:
    with interrupts.handled(leaving=True):
        try:
            with interrupts.deferred():  # libraries that are being loaded lose an exception, or wrap it
                from grpclab.cli import commands
        except KeyboardInterrupt:
            return interrupts.explain()
        return commands.main()


if __name__ == "__main__":
    sys.exit(main())
