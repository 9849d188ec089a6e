"""The facts of a build: what converted a member's modules, from what, and what came out.

convert leaves them in `build.json` beside the modules, since publish may run in another environment, on another day;
pipeline.trust.provenance makes a statement of them. The file is no part of a tarball: the commit and the time change
where no byte of a module does.
"""

import hashlib
import importlib
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar

from pipeline.base.addresses import public_address
from pipeline.base.fault import Fault
from pipeline.base.files import sha256_of, write_text
from pipeline.base.json_files import load_json
from pipeline.base.stage_code import ROOT, StageCode
from pipeline.base.strict_json import STRICT, parse_json
from pipeline.trust.statement import Scalar, render_time

PROJECT = "vit-publisher"
# The packages that decide the bytes of a module and its tarball.
PACKAGES = ("flax", "isal", "jax", "jaxlib", "ml_dtypes", "numpy", "protobuf", "tensorflow")
STAGES = ("convert", "package")  # whose code decides them
LOCK = ROOT / "requirements.lock"
FILE = "build.json"


@dataclass(frozen=True)
class Source:
    """The code that ran.

    Attributes:
        commit: the Git commit of the checkout; None outside of one, as for a wheel.
        is_clean: whether the checkout had no changes and no new files; None outside of one.
        address: where the checkout was cloned from, if everybody may read that; without secrets.
        code_sha256: the digest of the modules that convert and package run, as text.
    """

    commit: str | None
    is_clean: bool | None
    address: str | None
    code_sha256: str


@dataclass(frozen=True)
class Build:
    """The facts of a build, those of the process that converted.

    Attributes:
        started: when it began, as RFC 3339 has it, UTC.
        builder: a URI that names the builder: a workflow of CI, or BUILDER for any machine.
        source: the code.
        lock_sha256: of requirements.lock; None where there is none beside the code.
        versions: of the project, Python, the platform and PACKAGES.
        member: the member's name.
        checkpoint: what provenance.json has of the checkpoint.
        model: the section `model` without the labels, as provenance.json has it.
        contents: of each head, the digest of its files (pipeline.saved_model.files).
        activation: the collection's, of the probabilities that the classifier returns.
    """

    started: str
    builder: str
    source: Source
    lock_sha256: str | None
    versions: dict[str, str]
    member: str
    checkpoint: dict[str, str | int]
    model: dict[str, Scalar]
    contents: dict[str, str]
    activation: str = "softmax"

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT


BUILDER = "urn:vit-publisher:builder:local"


def write_build(folder: Path, build: Build) -> None:
    """Writes build.json into a member's folder."""
    write_text(folder / FILE, json.dumps(asdict(build), indent=2, sort_keys=True) + "\n")


def read_build(folder: Path) -> Build:
    """Reads build.json of a member's folder.

    Raises:
        Fault: when it is missing, damaged, or of another version of this program.
    """
    path, repair = folder / FILE, "run make convert again"
    try:
        return parse_json(Build, json.dumps(load_json(path, repair)))
    except FileNotFoundError:
        raise Fault(f"{path}: no such file, which says what converted the modules; {repair}") from None
    except ValueError as error:
        raise Fault(f"{path}: not written by make convert: {error}; delete it and {repair}") from None


# Facts of this process ------------------------------------------------------------------------------------------------
def now() -> str:
    """Returns the time, as RFC 3339 has it."""
    return render_time(datetime.now(UTC))


def describe_builder() -> str:
    """Returns the URI of the workflow that runs this process on GitHub or a server of its kind, else BUILDER."""
    workflow = os.environ.get("GITHUB_WORKFLOW_REF")
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    return f"{server}/{workflow}" if workflow and os.environ.get("GITHUB_ACTIONS") == "true" else BUILDER


def read_versions() -> dict[str, str]:
    """Returns the versions of what this process runs, by name."""
    # Imported by name: convert's code must not change with the version, which would convert every member again.
    own = importlib.import_module("pipeline.version").VERSION
    machine = f"{platform.system()} {platform.machine()}"
    versions = {PROJECT: own, "python": platform.python_version(), "platform": machine}
    return versions | installed_versions(PACKAGES)


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Returns the versions of those packages that are installed for this interpreter."""
    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def lock_digest() -> str | None:
    """Returns the SHA-256 of requirements.lock; None where there is none, as in a wheel."""
    return sha256_of(LOCK) if LOCK.is_file() else None


def code_digest(root: Path = ROOT) -> str:
    """Returns the digest of the text of all modules that STAGES run, comments too; the folder has `pipeline`.

    Unlike that of a stamp it does not depend on Python's version.
    """
    code = StageCode(root / "none", root)
    digest = hashlib.sha256()
    for name in sorted({name for stage in STAGES for name in code.modules(stage)}):
        place = root.joinpath("pipeline", *name.split("."))
        path = place.with_suffix(".py") if place.with_suffix(".py").is_file() else place / "__init__.py"
        digest.update(f"{sha256_of(path)}  {name}\n".encode())
    return digest.hexdigest()


def read_source(root: Path = ROOT) -> Source:
    """Returns the commit of the checkout that this code lies in, whether it was clean, and the code's digest."""
    code = code_digest(root)
    top = run_git(root, "rev-parse", "--show-toplevel")
    commit = run_git(root, "rev-parse", "--verify", "HEAD")
    if not top or not commit or Path(top).resolve() != root.resolve():  # in a folder of another repository, perhaps
        return Source(None, None, None, code)
    changes, origin = run_git(root, "status", "--porcelain"), run_git(root, "remote", "get-url", "origin")
    address = public_address(origin) if origin and re.match("https?://", origin) else None
    return Source(commit, None if changes is None else not changes, address, code)


def run_git(root: Path, *arguments: str) -> str | None:
    """Returns what git prints in a checkout; None without git, and where it refuses, as outside of a checkout.

    Git's variables of the environment, which name other repositories, do not count.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["GIT_OPTIONAL_LOCKS"] = "0"  # status must not write
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], env=environment, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
