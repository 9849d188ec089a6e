"""The code and the Python environment of a rebuild: those at hand where they are the recorded ones."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base import archives
from pipeline.base.fault import Fault
from pipeline.base.files import has_text, locked, make_folder, write_text
from pipeline.base.stage_code import ROOT
from pipeline.trust.builder import PACKAGES, code_digest, read_versions, run_git
from pipeline.trust.provenance import LOCK, SOURCE
from pipeline.trust.statement import Statement


@dataclass(frozen=True)
class Environment:
    """What rebuilds a module.

    Attributes:
        python: the interpreter.
        root: the folder with the code, `pipeline`.
        description: of both, for people.
        differences: what differs from what was recorded, each a clause.
    """

    python: Path
    root: Path
    description: str
    differences: tuple[str, ...]

    def run(self, module: str, *arguments: str | Path, **variables: str) -> None:
        """Runs a stage; what it prints goes to stderr.

        Args:
            module: of `pipeline`.
            arguments: of its command line, which every user of this machine can read.
            variables: of its environment, for addresses with passwords: `--option=env:<NAME>`.

        Raises:
            Fault: when it fails; it has said why.
        """
        # Python's own variables are for other interpreters than this one.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        command = [str(self.python), "-m", f"pipeline.{module}", *map(str, arguments)]
        done = subprocess.run(
            command, cwd=self.root, env=environment | {"PYTHONUTF8": "1"} | variables, stdout=2, check=False
        )
        if done.returncode:
            raise Fault(f"{module} failed (see above), so the module could not be made again with {self.description}")


def choose(statement: Statement, lock: Path | None, folder: Path, cache: Path, is_fresh: bool) -> Environment:
    """Returns the code and the interpreter to rebuild with.

    The code is this one where it is the same, else that of the recorded commit where this repository has it, else this
    one. The interpreter is the one at hand where it has the recorded versions, else one with the recorded lock file.

    Args:
        statement: of the module.
        lock: the recorded lock file; None where nobody has it.
        folder: an empty folder for the code of another commit.
        cache: the folder of downloads, which keeps environments too.
        is_fresh: whether to make an environment in any case.

    Raises:
        Fault: when an environment is needed and cannot be made.
    """
    root, code, differences = _choose_code(statement, folder)
    recorded = statement.run.versions
    others = _differing_versions(recorded, read_versions())
    if lock is None or (not others and not is_fresh):
        if lock is None and others:
            differences += [f"the hub does not have its {LOCK}, so the environment at hand is used", *others]
        return Environment(Path(sys.executable), root, f"{code} and the environment at hand", tuple(differences))
    python, note = _make(statement, lock, cache)
    return Environment(python, root, f"{code} and an environment of its {LOCK}", (*differences, *note))


def _differing_versions(recorded: Mapping[str, str], mine: Mapping[str, str]) -> list[str]:
    """Returns the packages whose versions differ, each a clause."""
    return [
        f"{name} {recorded[name]} there, {mine.get(name, 'none')} here"
        for name in PACKAGES
        if name in recorded and recorded[name] != mine.get(name)
    ]


# Code -----------------------------------------------------------------------------------------------------------------
def _choose_code(statement: Statement, folder: Path) -> tuple[Path, str, list[str]]:
    """Returns the folder of the code, what it is, and how it differs."""
    source = statement.definition.dependency(SOURCE)
    digest = source.digest if source else {}
    commit = digest.get("gitCommit", "")
    if digest.get("sha256") == code_digest():
        return ROOT, "the same code", []
    if commit and run_git(ROOT, "cat-file", "-t", commit) == "commit":
        root = _check_out(commit, folder)
        is_same = code_digest(root) == digest.get("sha256")
        note = [] if is_same else [f"the checkout of commit {commit[:12]} had changes that are not in the commit"]
        return root, f"the code of commit {commit[:12]}", note
    what = f"commit {commit[:12]}, which is not in this repository" if commit else "code of an unknown commit"
    return ROOT, "the code at hand", [f"it was made by {what}, and the code at hand differs"]


def _check_out(commit: str, folder: Path) -> Path:
    """Unpacks the code of a commit; this repository and its checkout stay as they are."""
    archive, root = folder / "code.tar", folder / "code"
    root.mkdir(parents=True)
    if run_git(ROOT, "archive", "--format=tar", f"--output={archive}", commit, "pipeline", LOCK) is None:
        raise Fault(f"{ROOT}: git cannot read commit {commit}; get all of the repository (git fetch --unshallow)")
    archives.unpack(archive, root)
    archive.unlink()
    return root


# Interpreters ---------------------------------------------------------------------------------------------------------
def _make(statement: Statement, lock: Path, cache: Path) -> tuple[Path, list[str]]:
    """Returns the interpreter of an environment with the lock file installed, which stays in the cache."""
    base, note = _find_python(statement.run.versions.get("python", ""))
    recorded = statement.definition.dependency(LOCK)
    digest = recorded.digest["sha256"] if recorded else "none"
    folder = cache / "environments" / f"{digest[:16]}-{statement.run.versions.get('python', 'python')}"
    python, text = folder / "bin/python", lock.read_text(encoding="utf-8")
    make_folder(folder.parent)
    with locked(folder.with_name(f"{folder.name}.lock"), f"reproduce: another process makes {folder}; waiting"):
        if not has_text(folder / LOCK, text):  # written last: what is installed is whole
            print(
                f"reproduce: installing the recorded {LOCK} into {folder}; this takes a few minutes, once",
                file=sys.stderr,
            )
            _run([base, "-m", "venv", "--clear", str(folder)])
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _run([*pip, "--require-hashes", "-r", str(lock)])
            write_text(folder / LOCK, text)
    return python, note


def _find_python(recorded: str) -> tuple[str, list[str]]:
    """Returns an interpreter of the recorded minor version, else the one at hand with a note."""
    minor = ".".join(recorded.split(".")[:2])
    mine = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if minor in ("", mine):
        return sys.executable, []
    if other := shutil.which(f"python{minor}"):
        return other, []
    return sys.executable, [f"Python {minor} there, {mine} here, since there is no python{minor}"]


def _run(command: Sequence[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(command, env=environment, stdout=2, check=False)
    if done.returncode:
        raise Fault(f"{' '.join(command[:4])} failed (see above), so there is no environment to make the module with")
