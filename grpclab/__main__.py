"""The program ``grpclab``, also as ``python -m grpclab``: a signal has its line from the start."""

import sys

from grpclab import interrupts


def main() -> int:
    """Run the command that the arguments name; returns its exit code."""
    with interrupts.handled(leaving=True):
        try:
            with interrupts.deferred():  # libraries that are being loaded lose an exception, or wrap it
                from grpclab import cli
        except KeyboardInterrupt:
            return interrupts.explain()
        return cli.main()


if __name__ == "__main__":
    sys.exit(main())
