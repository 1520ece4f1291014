"""``grpclab notebook``: list the notebooks that come with the package, or copy one into the working folder."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

from grpclab.cli.completion import offering
from grpclab.cli.parser import Flag, LabCommand, Operand, OptionGroup, Options
from grpclab.errors import UsageError, did_you_mean
from grpclab.system.optional import needs
from grpclab.system.paths import notebook, notebooks
from grpclab.system.subprocesses import module_command

EPILOG = """examples:
  grpclab notebook                 list the notebooks
  grpclab notebook sweep --open    copy sweep.ipynb and open it in JupyterLab
  papermill sweep.ipynb out.ipynb -p requests 2500"""


def run(options: Options) -> int:
    """List, or copy and open. Raises UsageError, MissingDependencyError."""
    if options.name is None:
        for flag in ("force", "open"):
            if getattr(options, flag):
                raise UsageError(f"--{flag} needs the name of a notebook: expected grpclab notebook NAME --{flag}")
        _list(quiet=options.quiet)
        return 0
    if options.open and importlib.util.find_spec("jupyterlab") is None:
        raise needs("--open", "jupyterlab", "lab")
    target = Path(f"{options.name.removesuffix('.ipynb')}.ipynb")
    if not (options.open and target.exists() and not options.force):  # one's own copy is opened as it is
        copy(options.name, Path.cwd(), force=options.force)
        if not options.quiet:
            print(f"written: {target}")
    if options.open:
        os.execv(sys.executable, module_command("jupyterlab", str(target)))
    return 0


def copy(name: str, folder: Path, *, force: bool) -> Path:
    """Copy a notebook into the folder; returns the copy. Raises UsageError for a name or a file in the way."""
    known = notebooks()
    stem = name.removesuffix(".ipynb")
    if stem not in known:
        hint = did_you_mean(stem, known) or f"expected one of {', '.join(known)}"
        raise UsageError(f"unknown notebook {name!r}: {hint}")
    source, target = notebook(stem), folder / f"{stem}.ipynb"
    content = source.read_bytes()
    if target.exists() and target.read_bytes() != content and not force:
        raise UsageError(f"{target.name} already exists here with different content: use --force to replace it")
    if not target.exists() or not target.samefile(source):
        target.write_bytes(content)
    return target


def _list(*, quiet: bool) -> None:
    known = notebooks()
    width = max(map(len, known))
    for name in known:
        print(name if quiet else f"{name:<{width}}  {_title(notebook(name))}")


def _title(path: Path) -> str:
    """The first heading of a notebook."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for line in "".join(cell["source"]).splitlines():
            if line.startswith("# "):
                return line.removeprefix("# ")
    return ""


COMMAND = LabCommand(
    "notebook",
    run,
    summary="list the notebooks, or copy one into this folder",
    usage="grpclab notebook [NAME] [options]",
    description="List the notebooks that come with grpclab, or copy one into this folder.",
    epilog=EPILOG,
    groups=[
        OptionGroup(
            members=[
                Operand("name", "NAME", "the notebook to copy", offer=offering(notebooks)),
                Flag("--force", switch=True, help="replace an existing file of that name"),
                Flag("--open", switch=True, help="open the notebook in JupyterLab, from a copy in this folder"),
            ]
        )
    ],
)
