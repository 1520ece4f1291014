"""A study that is killed again and again, and the same one left alone: what is lost, and what a trial costs beside
its window."""

from __future__ import annotations

import math
import os
import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd
import psutil

from grpclab import quantities as qty
from grpclab.calibration.claims import Claim
from grpclab.calibration.experiments import Experiment
from grpclab.calibration.plan import Plan
from grpclab.errors import WorkerError
from grpclab.report.tables import Table
from grpclab.study import profile_window
from grpclab.study.documents import manifest_document, read_json
from grpclab.study.model import StoredResult
from grpclab.study.store import Store
from grpclab.study.stored_values import read, read_manifest
from grpclab.study.trial_folders import GROUP, group_name
from grpclab.system import procfs
from grpclab.system.paths import project_root
from grpclab.system.subprocesses import STUDY_VARIABLE, module_command
from grpclab.system.temporary import TemporaryFolder

STUDY = "crashes"
DESIGN = """
variant = "optimized"
headline = "server.threads=4"
profile = false
[set]
load.requests = {requests}
[factors]
server.threads = [10, 4]
"""
KILL_AFTER_S = (1.0, 9.0)
"""A run is killed at a moment drawn evenly from here: while it starts, while it measures, while it writes."""
GONE_WITHIN_S = 5.0
LONGEST_S = 600.0
OVERHEAD_GOAL_S = 1.2
DEFAULT_GOAL_S = 780.0


def sized(plan: Plan) -> pd.DataFrame:
    """The frame of :func:`measure` at the sizes of a plan."""
    frame = measure(kills=plan.calls(3, 10), requests=max(100, plan.calls(2500, 2500)), seed=plan.seed)
    return frame.assign(**default_study(project_root() / "results"))


def measure(*, kills: int, requests: int, seed: int) -> pd.DataFrame:
    """A row a trial of two studies of one design, `run` being undisturbed or killed.

    Columns: run, trial, order_written, valid, half (whether a part of it is missing), written_s (since the first
    trial was written), window_s (warm-up included), kills (of that run), rewritten (trials that were there before a
    kill and not the same after), left_behind (processes that outlived a kill by GONE_WITHIN_S).
    """
    frames = []
    for run, deaths in (("undisturbed", 0), ("killed", kills)):
        with TemporaryFolder() as root:
            (root / f"{STUDY}.toml").write_text(DESIGN.format(requests=requests))
            rewritten, left_behind = _kill_and_go_on(root, deaths, random.Random(seed))
            frames.append(_trials(root).assign(run=run, kills=deaths, rewritten=rewritten, left_behind=left_behind))
    return pd.concat(frames, ignore_index=True)


def default_study(results: Path) -> dict[str, float]:
    """How long the newest complete study of the default design took, and the share of that which was silence, warm-up,
    window and profile; NaN where none is stored. Its last trial, whose end nobody noted, is left out."""
    row = {"default_wall_s": math.nan, "default_share": math.nan}
    newest = ""
    for path in results.glob("*/manifest.json"):
        manifest = read_manifest(manifest_document(path.parent))
        plan = manifest.plan
        if plan is None or manifest.design != "default" or manifest.created_at <= newest:
            continue
        trials = list(_results(path.parent))
        members = sum(len(group.members) for group in plan.groups) or len(plan.configurations)
        if len(trials) == members * plan.blocks:
            newest = manifest.created_at
            trials.sort(key=lambda trial: (trial.started_at, trial.block, trial.order))
            first, last = (datetime.fromisoformat(trials[at].started_at) for at in (0, -1))
            wall_s = (last - first).total_seconds()
            row = {"default_wall_s": wall_s, "default_share": sum(map(_measuring_s, trials[:-1])) / max(wall_s, 1e-9)}
    return row


def _results(study: Path) -> Iterator[StoredResult]:
    """The results of a study's trials, without those that are half written."""
    for path in study.glob("trials/[!.]*/result.json"):
        yield read(StoredResult, read_json(path, inside=study))


def _measuring_s(trial: StoredResult) -> float:
    """Seconds of a trial in which it was silent, warmed up, measured or profiled."""
    looks = profile_window.length_s()
    profiled = trial.metrics.get("profile_samples") is not None
    beside = float(trial.factors["load.warmup_s"] or 0) + float(trial.factors.get("load.pause_s") or 0)
    return float(trial.metrics.get("window_s") or 0) + beside + looks * profiled


def _kill_and_go_on(root: Path, kills: int, draw: random.Random) -> tuple[int, int]:
    rewritten = left_behind = 0
    for _ in range(kills):
        running = _start(root)
        try:
            running.wait(draw.uniform(*KILL_AFTER_S))
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        kept = _stored(root)
        left_behind += _left_behind(root)
        rewritten += sum(_stored(root).get(name) != at for name, at in kept.items())
    kept = _stored(root)
    running = _start(root)
    try:
        code = running.wait(LONGEST_S)
    finally:
        running.kill()
        running.wait()
    if code:
        raise WorkerError(f"the study ended with exit code {code}: {(root / 'log').read_text()[-300:]}")
    rewritten += sum(_stored(root).get(name) != at for name, at in kept.items())
    return rewritten, left_behind


def _start(root: Path) -> subprocess.Popen[bytes]:
    with (root / "log").open("ab") as log:
        return subprocess.Popen(
            module_command("grpclab", "study", "--file", str(root / f"{STUDY}.toml")),
            cwd=root,
            env={**os.environ, "GRPCLAB_ROOT": str(root)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
        )


def _stored(root: Path) -> dict[str, int]:
    """The valid trials that are there, with the moment at which each was written."""
    study = root / "results" / STUDY
    valid = [result.trial for result in Store(study).results().values() if result.valid]
    return {name: (study / "trials" / name / "result.json").stat().st_mtime_ns for name in valid}


def _left_behind(root: Path) -> int:
    """Processes of the killed run that are still there after a while; they are ended."""
    end = time.monotonic() + GONE_WITHIN_S
    while (left := [one for one in psutil.process_iter() if _of_the_study(one, root)]) and time.monotonic() < end:
        time.sleep(0.1)
    for process in left:
        process.kill()
    return len(left)


def _of_the_study(process: psutil.Process, root: Path) -> bool:
    try:
        environ = process.environ()
        own = environ.get(STUDY_VARIABLE) == STUDY and environ.get("GRPCLAB_ROOT") == str(root)
        return own and procfs.runs(process)
    except psutil.Error:
        return False


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """A row of the frame: a trial's folder as it lies there in the end."""

    trial: str
    valid: bool
    half: bool
    written_s: float
    window_s: float

    @classmethod
    def of(cls, folder: Path) -> _Trial:
        """The trial in a folder, whatever is left of it."""
        files = {path.name for path in folder.iterdir()}
        whole = {"result.json", "latency.parquet", "timeline.parquet", "server.log"} <= files
        half, stored = folder.name.startswith(".") or not whole, folder / "result.json"
        if not stored.exists():
            return cls(trial=folder.name, valid=False, half=half, written_s=0.0, window_s=0.0)
        result = read(StoredResult, read_json(stored, inside=folder))
        of_group = [] if result.group is None else [GROUP, "trial.ipynb"]
        group = folder.parent.parent / "groups" / group_name(result.block, result.group or 0)
        return cls(
            trial=folder.name,
            valid=result.valid,
            half=half or not all((group / name).exists() for name in of_group),
            written_s=stored.stat().st_mtime,
            window_s=float(result.metrics.get("window_s") or 0) + float(result.factors.get("load.warmup_s") or 0),
        )


def _trials(root: Path) -> pd.DataFrame:
    """What lies there in the end, hidden folders included."""
    rows = [_Trial.of(folder) for folder in (root / "results" / STUDY / "trials").iterdir()]
    frame = pd.DataFrame(rows).sort_values("written_s", ignore_index=True)
    return frame.assign(written_s=frame["written_s"] - frame["written_s"].min())


# ---- what is made of the frame ---------------------------------------------------------------------------------


def overheads(frame: pd.DataFrame) -> pd.Series:
    """Seconds of an undisturbed trial beside warm-up and counted time, group by group, the first one left out."""
    groups = _groups(frame)
    return ((groups["written_s"].diff() - groups["window_s"]) / groups["trials"]).iloc[1:]


def measuring_share(frame: pd.DataFrame) -> float:
    """The share of the undisturbed study's time that is warm-up and counted time, its first group left out."""
    groups = _groups(frame)
    return float(groups["window_s"].iloc[1:].sum() / (groups["written_s"].iloc[-1] - groups["written_s"].iloc[0]))


def _groups(frame: pd.DataFrame) -> pd.DataFrame:
    """When each undisturbed group was written, its warm-ups and counted times, and how many trials it has."""
    rows = frame[frame["run"] == "undisturbed"]
    name = rows["trial"].str.extract(r"^(\d+-\d+)-", expand=False).fillna(rows["trial"])
    found = rows.groupby(name).agg(
        written_s=("written_s", "max"), window_s=("window_s", "sum"), trials=("trial", "size")
    )
    return found.sort_values("written_s")


def claims(frame: pd.DataFrame) -> list[Claim]:
    """The same trials, each once and whole; nothing lost, nothing left behind; little beside the window."""
    undisturbed, killed = (frame[frame["run"] == run] for run in ("undisturbed", "killed"))
    kills = int(killed["kills"].max())
    same = sorted(undisturbed["trial"]) == sorted(killed["trial"])
    broken = int(killed["half"].sum() + killed["trial"].duplicated().sum() + (~killed["valid"]).sum())
    lost, left = int(killed["rewritten"].max()), int(killed["left_behind"].max())
    overhead = float(overheads(frame).median())
    moments = f"kill -9 at {qty.count(kills, 'random moment')}"
    return [
        Claim(
            claim=f"{moments}, with the study resumed each time: trials that are complete and stored exactly once",
            goal=f"all {len(undisturbed)}",
            measured=f"{len(killed) - broken} of {len(undisturbed)}",
            holds=same and not broken,
        ),
        Claim(claim="stored trials that were lost or measured again", goal="0", measured=str(lost), holds=not lost),
        Claim(
            claim=f"processes still running {GONE_WITHIN_S:g} s after a kill",
            goal="0",
            measured=str(left),
            holds=not left,
        ),
        Claim(
            claim=(
                "time per trial besides the warm-up and the window, including the start of a fresh server and the "
                "notebook"
            ),
            goal=f"at most {OVERHEAD_GOAL_S:g} s",
            measured=f"{overhead:.2f} s",
            holds=overhead <= OVERHEAD_GOAL_S,
        ),
        Claim(
            claim="warm-up and window as a share of the time of these short trials",
            measured=qty.percent(measuring_share(frame)),
        ),
        *_of_the_default(float(frame["default_wall_s"].iloc[0]), float(frame["default_share"].iloc[0])),
    ]


def _of_the_default(wall_s: float, share: float) -> list[Claim]:
    if math.isnan(wall_s):
        return [
            Claim(claim=("the default study, which is not stored here"), goal=f"within {DEFAULT_GOAL_S / 60:g} minutes")
        ]
    minutes, seconds = divmod(round(wall_s), 60)
    return [
        Claim(
            claim="time of the newest stored default study, up to the start of its last trial",
            goal=f"within {DEFAULT_GOAL_S / 60:g} minutes",
            measured=f"{minutes} min {seconds} s",
            holds=wall_s <= DEFAULT_GOAL_S,
        ),
        Claim(
            claim="share of that time spent in idle periods, warm-ups, windows and profiles",
            goal="at least 50 %",
            measured=qty.percent(share),
            holds=share >= 0.5,
        ),
    ]


def body(frame: pd.DataFrame) -> Table:
    """Both runs in a table."""
    rows = []
    for run, trials in frame.groupby("run", sort=False):
        cells = [
            str(trials["kills"].max()),
            str(len(trials)),
            str(int(trials["valid"].sum())),
            str(int(trials["half"].sum())),
            str(int(trials["rewritten"].max())),
            str(int(trials["left_behind"].max())),
        ]
        rows.append([str(run), *cells])
    header = ["run", "kills", "trials", "valid", "half", "lost or repeated", "left behind"]
    return Table(header=header, rows=rows, label="A study killed and resumed", numeric={1, 2, 3, 4, 5, 6})


EXPERIMENT = Experiment(
    title="Killing a study",
    question=(
        "Is anything lost if a study is killed at random moments and resumed? An undisturbed run of the same study "
        "shows how much time a trial takes besides its window."
    ),
    sized=sized,
    claims=claims,
    body=body,
)
