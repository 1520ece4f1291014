"""A papermill engine that keeps one kernel warm: a trial costs 0.3 s of notebook instead of 4 to 7 s.

Every notebook gets a clean namespace, the kernel's first working folder and environment, and execution counts
from 1, as in a kernel of its own; imported modules stay. ``papermill --engine grpclab-warm`` uses it, too.
"""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Callable
from typing import Any

from jupyter_client.manager import KernelManager
from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine
from papermill.log import logger
from papermill.utils import merge_kwargs, remove_args

from grpclab.errors import WorkerError

READY_TIMEOUT_S = 60

_REMEMBER = """
import os as _os
get_ipython()._grpclab_start = (_os.getcwd(), dict(_os.environ))
"""
_RESET = """
import os as _os, sys as _sys, gc as _gc
_folder, _environ = get_ipython()._grpclab_start
_os.chdir(_folder)
for _name in set(_os.environ) - set(_environ):
    del _os.environ[_name]
_os.environ.update(_environ)
if "matplotlib.pyplot" in _sys.modules:
    _sys.modules["matplotlib.pyplot"].close("all")
get_ipython().reset(new_session=True)
import gc as _gc
_gc.collect()
del _gc
"""


class WarmKernel:
    """One IPython kernel, started when first needed and kept until :meth:`stop`."""

    def __init__(self) -> None:
        self._manager: Any = None
        self._client: Any = None

    @property
    def pid(self) -> int | None:
        """The kernel's process id, or None when there is none."""
        if self._manager is None or self._manager.provisioner is None:
            return None
        return getattr(self._manager.provisioner, "pid", None)

    def ready(self, kernel_name: str, env: dict[str, str]) -> tuple[Any, Any]:
        """The running kernel and its client, with a clean namespace. Raises WorkerError."""
        if self._manager is not None and not self._manager.is_alive():
            self.stop()
        try:
            if self._manager is None:
                self._start(kernel_name, env)
                self._execute(_REMEMBER)
            self._execute(_RESET)
        except (RuntimeError, TimeoutError, DeadKernelError) as error:
            self.stop()
            raise WorkerError(f"the notebooks' kernel could not be started: {error}") from None
        return self._manager, self._client

    def _start(self, kernel_name: str, env: dict[str, str]) -> None:
        self._manager = KernelManager(kernel_name=kernel_name)
        self._manager.start_kernel(env={**os.environ, **env})
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=READY_TIMEOUT_S)

    def _execute(self, code: str) -> None:
        reply = self._client.execute_interactive(
            code, silent=True, store_history=False, timeout=READY_TIMEOUT_S, output_hook=lambda _: None
        )
        if reply["content"]["status"] != "ok":
            raise RuntimeError(f"{reply['content'].get('ename')}: {reply['content'].get('evalue')}")

    def interrupt(self) -> None:
        """Stop what it is doing, as Jupyter's Interrupt does."""
        if self._manager is not None:
            with contextlib.suppress(Exception):
                self._manager.interrupt_kernel()

    def stop(self) -> None:
        """End the kernel; what it had started ends with it. Safe to call twice."""
        manager, client, self._manager, self._client = self._manager, self._client, None, None
        if client is not None:
            client.stop_channels()
        if manager is not None:
            with contextlib.suppress(Exception):
                manager.shutdown_kernel(now=True)
            with contextlib.suppress(Exception):
                manager.context.destroy(linger=0) if manager.owns_kernel else None


KERNEL = WarmKernel()
"""The kernel of this process."""
atexit.register(KERNEL.stop)


class WarmKernelEngine(Engine):
    """Entry point ``papermill.engine: grpclab-warm``."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        log_output: bool = False,
        stdout_file: Any = None,
        stderr_file: Any = None,
        start_timeout: int = 60,
        execution_timeout: int | None = None,
        kernel_env: dict[str, str] | None = None,
        on_start: Callable[[], None] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run one notebook in the warm kernel (papermill's contract for engines).

        `kernel_env` is added to the environment of a kernel that has to be started. Raises WorkerError if the
        kernel dies.
        """
        manager, client = KERNEL.ready(kernel_name, kernel_env or {})
        if on_start is not None:
            on_start()
        options = merge_kwargs(
            remove_args(["input_path", "timeout", "startup_timeout"], **kwargs),
            timeout=execution_timeout,
            startup_timeout=start_timeout,
            kernel_name=kernel_name,
            log=logger,
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
        except KeyboardInterrupt:
            KERNEL.interrupt()
            raise
