"""The manifest of a study that is about to begin: what is measured, in which order, where and with what."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grpclab.factors.config import LinkConfig
from grpclab.link.emulation import check_link
from grpclab.study.documents import SCHEMA_VERSION
from grpclab.study.parameters import DESIGNS, StudyParameters
from grpclab.study.trial_result import now_text
from grpclab.system import environment


def manifest_for(parameters: StudyParameters, root: Path) -> dict[str, Any]:
    """The manifest of the study that is asked for; ``study=auto`` is named after its content."""
    found = surroundings(root)
    asked = DESIGNS[parameters.design]
    plan = asked.plan(parameters, len(found["cores"]["server"]))
    chosen = parameters.as_dict()
    if parameters.study == "auto":
        known = {k: v for k, v in chosen.items() if k != "study"}
        content = json.dumps([known, plan, found["identity"]], sort_keys=True, default=str)
        digest = hashlib.sha256(content.encode()).hexdigest()[:6]
        chosen["study"] = f"{parameters.design}-{parameters.requests}x{parameters.blocks}-{digest}"
    return manifest_of(found, plan, design_name=parameters.design, question=asked.question, parameters=chosen)


def manifest_of(
    found: Mapping[str, Any], plan: Mapping[str, Any], *, design_name: str, question: str, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """A manifest; `found` are its :func:`surroundings`, `parameters` hold the study's name and its seed."""
    return {
        "study": parameters["study"],
        "design": design_name,
        "question": question,
        "parameters": dict(parameters),
        "seed": parameters["seed"],
        **found,
        "link_check": {},
        "plan": plan,
    }


def surroundings(root: Path) -> dict[str, Any]:
    """The part of a manifest that says where and with what it was measured."""
    machine, versions = environment.machine(), environment.versions()
    cores = environment.split_cores(machine["affinity"])
    return {
        "schema_version": SCHEMA_VERSION,
        "created_at": now_text(),
        "identity": environment.identity(machine, versions),
        "machine": machine,
        "versions": versions,
        "git": environment.git_state(root),
        "cores": {"server": list(cores.server), "generator": list(cores.generator), "shared": cores.shared},
    }


def link_check(plan: Mapping[str, Any]) -> dict[str, float]:
    """What the emulated link really does, where the plan uses one that delays: the first of its round trips."""
    trips = [rtt for row in plan["configurations"] if (rtt := row["settings"].get("link.rtt_ms"))]
    return check_link(LinkConfig(rtt_ms=trips[0])) if trips else {}
