"""Where a study lives: ``results/<study>/``, a folder for each trial, each there whole or not at all.

What was cut off is removed by the next run. A folder may come from somebody else: its files are read within bounds, and
nothing is read or written through a symbolic link that leads out of it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import IO

import pandas as pd

from grpclab.analysis.study_plan import PlannedGroup, StudyPlan
from grpclab.errors import DesignError
from grpclab.study.block_count import BlockCount
from grpclab.study.documents import SCHEMA_VERSION, manifest_document, write_json
from grpclab.study.machines import with_machines
from grpclab.study.model import Manifest, StoredMachine
from grpclab.study.origin import seal
from grpclab.study.program_watch import changed_programs
from grpclab.study.request_files import changed_data_files
from grpclab.study.stored_values import read_planned, written
from grpclab.study.trial_folders import TrialFolders, clause
from grpclab.study.wall_budget import Trimmed, counted_for, sampled_in
from grpclab.system.untrusted import read_bytes
from grpclab.text.printable import printable
from grpclab.text.redaction import SALT, SALT_BYTES, Redactor, with_texts, without_digits

MUST_AGREE = ("design", "plan", "seed", "identity")
"""Parts of a manifest that must be equal for two runs to be one study."""
WORDING = frozenset(
    (
        *("title", "label", "baseline_label", "candidate_label", "at", "phrase", "already"),
        *("why", "not_testable", "reason", "note", "place"),
    )
)
"""Fields of a plan that only say in words what the others hold: another version may word them differently."""


class Store(TrialFolders):
    """The folder of one study."""

    @property
    def name(self) -> str:
        """The study's name, which is its folder's."""
        return self.folder.name

    def manifest(self) -> Manifest | None:
        """The manifest, or None where there is no study yet. Raises DesignError if it cannot be read."""
        path = self.folder / "manifest.json"
        try:
            document = manifest_document(self.folder)
            version = document.get("schema_version")
            if version == SCHEMA_VERSION:
                return read_planned(document)
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            raise DesignError(f"no study in {self.folder}: it is a file") from None
        except OSError as error:
            raise DesignError(f"cannot read {path}: {error.strerror}") from None
        except ValueError as error:
            raise DesignError(f"{path} {clause(error)}: {self._rescue()}") from None
        number = "no schema version" if version is None else f"schema version {printable(str(version), 20)}"
        raise DesignError(
            f"{path} has {number}; this grpclab reads version {SCHEMA_VERSION}"
            + (f": {self._rescue()}" if version is None else "")
        )

    def _rescue(self) -> str:
        """What of a study whose manifest is damaged can be saved, and how."""
        whole = len(self.results())
        if not whole:
            return "the study has no complete trial, so remove the folder and start the study again"
        trials = "complete trial" if whole == 1 else f"{whole:,} complete trials"
        saved = f"to keep the {trials}, remove that file and repeat the command that started the study"
        report = self.folder.parent.parent / "reports" / f"{self.name}.html"
        return f"{saved}; {report} still has the manifest" if report.is_file() else saved

    def open(self, manifest: Manifest) -> Manifest:
        """Begin the study, or go on with it; returns the stored manifest.

        Raises DesignError if the folder holds another design, or one measured on another machine or version, and for a
        plan that is too large.
        """
        stored = self.manifest()
        if stored is None:
            self._require_same_trials(manifest.plan)
            self.trials_folder.mkdir(parents=True, exist_ok=True)
            self._begin_salt()
            clean = self.redactor().manifest(manifest)
            write_json(self.folder / "manifest.json", written(replace(clean, seal=seal(clean.plan) or None)))
            stored = self.manifest()
            assert stored is not None
        begun = stored
        if stored.plan.on_machines != manifest.plan.on_machines:
            how = "with" if stored.plan.on_machines else "without"
            other = "give this study another name (study=...)"
            raise DesignError(f"{self.folder} was started {how} --cluster: continue in the same way, or {other}")
        stored, wanted = _to_compare(self._without_secrets(stored), self._without_secrets(manifest))
        different = [key for key in MUST_AGREE if getattr(stored, key) != getattr(wanted, key)]
        if different == ["plan"] and without_digits(stored.plan) == without_digits(wanted.plan):
            raise DesignError(
                f"{self.folder} was started with a different secret (--metadata, --data or a command): use the same "
                "one, or give this study another name (study=...)"
            )
        if stored.servers is not None and stored.servers != wanted.servers:  # an earlier version did not say
            changes = changed_programs(stored.servers, wanted.servers)
            different.append(f"program behind its servers{f' ({changes})' if changes else ''}")
        if changed := changed_data_files(stored.data_files, wanted.data_files or ()):
            different.append(f"content of the data file {' and '.join(changed)}")
        if different:
            raise DesignError(
                f"{self.folder} has a study with a different {' and '.join(different)}{_example(stored, wanted)}: "
                "give this one another name (study=...), or remove that folder"
            )
        return self._without_secrets(begun)

    def fix_blocks(self, found: BlockCount) -> Manifest:
        """Write the blocks and counted times that the pilot gave into the manifest, once; returns the manifest.

        Only the holder of the lock may.
        """
        stored = self.manifest()
        assert stored is not None
        pilot = stored.pilot
        if pilot is None or pilot.fixed:
            return stored
        fixed = replace(pilot, fixed=True, reason=found.reason, counted_s=found.counted_s or pilot.counted_s)
        groups = counted_for(stored.plan.groups, found.counted_s)
        groups = sampled_in(groups, found.sampled_blocks, found.blocks)
        changed = replace(stored, plan=replace(stored.plan, blocks=found.blocks, groups=groups), pilot=fixed)
        write_json(self.folder / "manifest.json", written(changed))
        return changed

    def trim(self, trimmed: Trimmed) -> Manifest:
        """Write the plan that the costs of the first block made shorter into the manifest, while the pilot goes on."""
        stored = self.manifest()
        assert stored is not None
        if stored.pilot is None or stored.pilot.fixed:
            return stored
        pilot = replace(stored.pilot, counted_s=trimmed.counted_s, reason=trimmed.reason)
        changed = replace(stored, plan=trimmed.plan, pilot=pilot)
        write_json(self.folder / "manifest.json", written(changed))
        return changed

    def list_machines(self, machines: Sequence[StoredMachine]) -> Manifest:
        """Have the manifest list these machines as well; returns it. Raises DesignError: see `with_machines`."""
        stored = self.manifest()
        assert stored is not None
        changed = with_machines(stored, machines)
        if changed != stored:
            write_json(self.folder / "manifest.json", written(changed))
        return changed

    def redactor(self) -> Redactor:
        """What takes the secrets out of a manifest of this study; under a salt of the moment where its own is gone."""
        return Redactor(self._salt() or os.urandom(SALT_BYTES))

    def _salt(self) -> bytes | None:
        try:
            return read_bytes(self.folder / SALT, SALT_BYTES, inside=self.folder)
        except (OSError, ValueError):
            return None

    def _begin_salt(self) -> None:
        temporary = self.folder / f"{SALT}.{os.getpid()}"
        temporary.unlink(missing_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(os.urandom(SALT_BYTES))
        temporary.replace(self.folder / SALT)

    def changed_references(self, manifest: Manifest) -> list[str]:
        """The references (``env:NAME``, a file) whose value is another one than when the study was begun."""
        begun = self.manifest()
        if begun is None or self._salt() is None:
            return []
        stored, now = begun.references or {}, self._without_secrets(manifest).references or {}
        return [name for name, value in now.items() if stored.get(name) not in (None, value)]

    def _without_secrets(self, manifest: Manifest) -> Manifest:
        """A manifest without its secrets, which all look the same where the salt is gone."""
        clean = self.redactor().manifest(manifest)
        return clean if self._salt() else without_digits(clean)

    def _require_same_trials(self, plan: StudyPlan) -> None:
        """Raise DesignError if the trials of a study without a manifest were measured by another plan."""
        settings = {row.name: row.settings for row in plan.configurations}
        for name, result in self.results().items():
            planned, factors = settings.get(result.configuration), result.factors
            if planned is None or any(factors.get(key, level) != level for key, level in planned.items()):
                raise DesignError(
                    f"{self.trials_folder} has a trial of a different plan ({name}) and the folder has no "
                    "manifest.json: give this study another name (study=...), or remove that folder"
                )

    def discard(self) -> None:
        """Remove a study that holds no trial; what is not a study's own stays, and its folder with it."""
        shutil.rmtree(self.trials_folder, ignore_errors=True)
        shutil.rmtree(self.groups_folder, ignore_errors=True)
        for name in ("manifest.json", ".lock", SALT):
            (self.folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()
            self.folder.parent.rmdir()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second process from running the same study; ends with this process, however that ends.

        Removes what a run that was cut off has left: only the holder may, since to anyone else the trial being
        written looks the same.
        """
        import fcntl

        self.folder.mkdir(parents=True, exist_ok=True)
        with self._open_lock() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise DesignError(
                    f"study {self.name!r} is being measured by another process: wait for it, or use another name"
                ) from None
            self.require_own_folder()
            self.remove_halves()
            yield

    def _open_lock(self) -> IO[bytes]:
        path = self.folder / ".lock"
        if path.is_symlink():
            raise DesignError(f"{path} is a symbolic link: remove it")
        return open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644), "wb")

    def write_frame(self, frame: pd.DataFrame) -> None:
        """Write trials.parquet, whole or not at all."""
        temporary = self.folder / ".trials.parquet"
        temporary.unlink(missing_ok=True)  # never through a symbolic link that lay there
        frame.to_parquet(temporary, index=False)
        temporary.replace(self.folder / "trials.parquet")


def _to_compare(stored: Manifest, wanted: Manifest) -> tuple[Manifest, Manifest]:
    """Two manifests without what may differ in one study: its wording, its groups, and what a pilot has fixed.

    A stored study goes on with its own groups, or without; only what is measured one after the other must agree.
    """
    grouped = bool(stored.plan.groups)
    fitted = bool(stored.pilot and wanted.pilot)

    def comparable(manifest: Manifest) -> Manifest:
        apart = {name for group in manifest.plan.groups if not group.interleaved for name in group.members}
        groups = (PlannedGroup(members=tuple(sorted(apart)), interleaved=False),) if grouped and apart else ()
        plan = replace(manifest.plan, groups=groups)
        if fitted:
            plan = replace(plan, blocks=0, profiled_blocks=None)
        return replace(manifest, plan=with_texts(plan, _without_wording))

    return comparable(stored), comparable(wanted)


def _without_wording(path: tuple[str, ...], text: str) -> str:
    return "" if path[-1] in WORDING or path[-2:-1] == ("without_effect",) else text


def _example(stored: Manifest, wanted: Manifest) -> str:
    """One thing that differs, for the message."""
    for before, now in ((stored.parameters, wanted.parameters), (stored.identity, wanted.identity)):
        for name in now:
            if name != "study" and now[name] != before.get(name):
                return f" (there {name}={before.get(name)}, here {name}={now[name]})"
    return ""
