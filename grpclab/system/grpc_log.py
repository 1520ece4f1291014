"""Imports grpcio so that C-core, its part in C, writes no log of its own to standard error.

C-core reads ``GRPC_VERBOSITY`` once, when it is imported. What it would say of a connection that fails is said by an
error of ours; whoever sets the variable wants its log. The variable stays out of the environment of child processes:
the log of a user's own server is the user's. Import this before ``grpc``.
"""

from __future__ import annotations

import os
import sys

VARIABLE = "GRPC_VERBOSITY"


def _import_silently() -> None:
    if "grpc" in sys.modules or VARIABLE in os.environ:
        return
    os.environ[VARIABLE] = "NONE"
    try:
        import grpc  # noqa: F401
    finally:
        del os.environ[VARIABLE]


_import_silently()
