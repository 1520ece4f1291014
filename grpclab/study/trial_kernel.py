"""The process of a study's kernel: IPython's, without what a person has set up for sessions of their own.

Files that IPython runs at its start, its configuration, PYTHONSTARTUP and a graphical MPLBACKEND would change, end or
stop one person's measurements and not another's. ``python -m grpclab.study.trial_kernel -f CONNECTION_FILE``
"""

from __future__ import annotations

import os
from typing import Any

from ipykernel.kernelapp import IPKernelApp


class TrialKernelApp(IPKernelApp):
    """A kernel that reads no configuration, and runs nothing before the notebook."""

    def load_config_file(self, *_: Any, **__: Any) -> None:
        """Read none."""

    def init_code(self) -> None:
        """Run none."""

    def init_path(self) -> None:
        """Leave the working folder out, as -P asks; IPython before 9.7 adds it all the same."""


def main(argv: list[str] | None = None, **options: Any) -> None:
    """Run the kernel until it is told to end."""
    os.environ.pop("MPLBACKEND", None)  # ipykernel then has figures drawn into the notebook
    TrialKernelApp.launch_instance(argv, **options)


if __name__ == "__main__":
    main()
