"""A papermill engine that keeps one kernel warm: a trial costs 0.3 s of notebook instead of 4 to 7 s.

``papermill --engine grpclab-warm`` uses it, too. papermill loads this module (entry point ``papermill.engine``)
while it is itself being imported: import papermill first.
"""

from __future__ import annotations

import logging
from typing import Any

from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine
from papermill.utils import merge_kwargs, remove_args

from grpclab.errors import WorkerError
from grpclab.study.kernel import KERNEL

log = logging.getLogger("grpclab.notebooks")
log.setLevel(logging.CRITICAL)  # a kernel that died is told as the reason of its trial, not a second time here


class WarmKernelEngine(Engine):
    """Entry point ``papermill.engine: grpclab-warm``."""

    @classmethod
    def execute_managed_notebook(  # noqa: PLR0917  # the signature is papermill's
        cls,
        nb_man: Any,
        kernel_name: str,
        log_output: bool = False,
        stdout_file: Any = None,
        stderr_file: Any = None,
        start_timeout: int = 60,
        execution_timeout: int | None = None,
        kernel_env: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run one notebook in the warm kernel (papermill's contract for engines).

        `kernel_env` is added to the environment of a kernel that has to be started. Raises WorkerError if the
        kernel dies.
        """
        manager, client = KERNEL.ready(kernel_name, kernel_env or {})
        options = merge_kwargs(
            remove_args(["input_path", "timeout", "startup_timeout"], **kwargs),
            timeout=execution_timeout,
            startup_timeout=start_timeout,
            kernel_name=kernel_name,
            log=log,
            log_output=log_output,
            stdout_file=stdout_file,
            stderr_file=stderr_file,
            km=manager,
        )
        notebook_client = PapermillNotebookClient(nb_man, **options)
        notebook_client.kc = client
        try:
            return notebook_client.execute()
        except DeadKernelError:
            KERNEL.stop()
            raise WorkerError("the trial's kernel died") from None
