"""One IPython kernel, kept warm over many notebooks; each finds a clean one.

A clean kernel: an empty namespace, the kernel's first working folder and environment, execution counts from 1,
as in a kernel of its own; imported modules stay.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import signal
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync

from grpclab.errors import WorkerError
from grpclab.servers.process.launcher import log_tail
from grpclab.system import interrupts
from grpclab.system.paths import notebook
from grpclab.system.subprocesses import STUDY_VARIABLE, module_command
from grpclab.system.temporary import TemporaryFolder

READY_TIMEOUT_S = 180
"""So long a kernel may take to start: on a busy machine it is the import of a large library, many times slowed down."""
TASKS_TIMEOUT_S = 5
"""So long the tasks that an interrupt left may take to notice that they are cancelled."""
LONGEST_SOCKET = 100
"""Bytes of a Unix socket's path: Linux takes 107, macOS 103."""

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


class _Manager(AsyncKernelManager):
    """Starts this Python's kernel, whatever kernel of that name is installed or found through JUPYTER_PATH."""

    @property
    def kernel_spec(self) -> KernelSpec | None:
        if self.kernel_name != NATIVE_KERNEL_NAME:
            return super().kernel_spec
        return KernelSpec(
            argv=module_command("grpclab.study.trial_kernel", "-f", "{connection_file}"),
            display_name="grpclab",
            language="python",
            metadata={"kernel_provisioner": {"provisioner_name": "local-provisioner"}},
        )


class WarmKernel:
    """One IPython kernel, started when first needed and kept until :meth:`stop`.

    Its manager and client are the asynchronous ones, as nbclient expects: with the blocking ones it would wait
    forever for a kernel that was killed. Everything goes through jupyter's run_sync, hence over one event loop.
    """

    def __init__(self) -> None:
        self._manager: Any = None
        self._client: Any = None
        self._files = contextlib.ExitStack()
        self._log = Path(os.devnull)

    @property
    def pid(self) -> int | None:
        """The kernel's process id, or None when there is none."""
        provisioner = getattr(self._manager, "provisioner", None)
        return getattr(provisioner, "pid", None)

    def ready(self, kernel_name: str, env: dict[str, str]) -> tuple[Any, Any]:
        """The running kernel and its client, with a clean namespace. Raises WorkerError."""
        if self._manager is not None and not run_sync(self._manager.is_alive)():
            self.stop()
        try:
            if self._manager is None:
                self._start(kernel_name, env)
                self._execute(_REMEMBER)
            self._execute(_RESET)
        except (RuntimeError, TimeoutError) as error:
            said = log_tail(self._log)
            self.stop()
            raise WorkerError(f"the notebooks' kernel could not be started: {error}{said}") from None
        return self._manager, self._client

    def _start(self, kernel_name: str, env: dict[str, str]) -> None:
        # It is killed where a study is interrupted, and could not remove what its servers and workers wrote.
        folder = self._files.enter_context(TemporaryFolder())
        self._log = folder / "kernel.log"
        own = {"TMPDIR": str(folder), "IPYTHONDIR": str(folder / "ipython")}
        log = self._files.enter_context(self._log.open("wb"))
        self._manager = _Manager(
            kernel_name=kernel_name,
            transport="ipc",
            ip=str(self._socket_folder(folder) / "kernel"),
            connection_file=str(folder / "kernel.json"),
        )
        # A process that the manager does not know yet would outlive `stop`; for a socket that its context does not know
        # yet, `stop` would wait forever.
        with interrupts.deferred():
            run_sync(self._manager.start_kernel)(env={**os.environ, **env, **own}, stdout=log, stderr=log)
            self._client = self._manager.client()
            self._client.start_channels(hb=False)  # its manager knows whether it lives; a thread less to end
        run_sync(self._client.wait_for_ready)(timeout=READY_TIMEOUT_S)

    def _execute(self, code: str) -> None:
        reply = run_sync(self._client.execute_interactive)(
            code, silent=True, store_history=False, timeout=READY_TIMEOUT_S, output_hook=lambda _: None
        )
        if reply["content"]["status"] != "ok":
            raise RuntimeError(f"{reply['content'].get('ename')}: {reply['content'].get('evalue')}")

    def stop(self) -> None:
        """End the kernel; what it had started ends with it. Safe to call twice."""
        with interrupts.deferred():
            manager, client, self._manager, self._client = self._manager, self._client, None, None
            process = getattr(getattr(manager, "provisioner", None), "process", None)
            run_sync(_end_tasks)()
            if client is not None:
                client.stop_channels()
            if manager is not None:
                with contextlib.suppress(Exception):
                    run_sync(manager.shutdown_kernel)(now=True)
            if process is not None:  # on a busy machine, its manager gives up waiting for its end
                with process:
                    process.kill()
            self._files.close()

    def kill(self) -> None:
        """End the kernel without ceremony, for the end of this process."""
        if self.pid is not None:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)
        self._files.close()

    def _socket_folder(self, folder: Path) -> Path:
        """`folder`, or where its path is too long for a socket a shorter one. Raises StorageError."""
        if len(os.fsencode(folder / "kernel-10")) <= LONGEST_SOCKET:
            return folder
        return self._files.enter_context(TemporaryFolder(Path("/tmp")))


async def _end_tasks() -> None:
    """Cancel what an interrupt left waiting in this event loop: nobody is left to take its result or its error."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        ended, _ = await asyncio.wait(tasks, timeout=TASKS_TIMEOUT_S)
        for task in ended:
            if not task.cancelled():
                task.exception()


KERNEL = WarmKernel()
"""The kernel of this process."""
atexit.register(KERNEL.kill)


def execute_trial(folder: Path, parameters: Mapping[str, str | int | bool]) -> str:
    """Run trial.ipynb with its parameters into `folder` on the warm kernel; the reason why it failed, or nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # papermill and its libraries warn of their own business
        import papermill
        from papermill.exceptions import PapermillExecutionError

        try:
            papermill.execute_notebook(
                str(notebook("trial")),
                str(folder / "trial.ipynb"),
                parameters=dict(parameters),
                engine_name="grpclab-warm",
                kernel_name="python3",
                progress_bar=False,
                kernel_env={STUDY_VARIABLE: str(parameters["study"])},
            )
        except PapermillExecutionError as error:
            return f"trial.ipynb failed: {error.ename}: {error.evalue}"
        except WorkerError as error:
            return str(error)
    return ""
