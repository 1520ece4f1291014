"""Python imports this at its start, where a trace of a value has put this folder on its path."""

import importlib
import os
from pathlib import Path

if "GRPCLAB_TRACED_VALUE" in os.environ:
    trace = importlib.import_module("value_trace")
    trace.start(float(os.environ[trace.VALUE]), Path(os.environ[trace.FOLDER]))
