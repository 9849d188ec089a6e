"""The plan of a mirror: per version and file, what would be uploaded, and the state of the host it was made for."""

import dataclasses
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

from pipeline.base.fault import Fault, list_names, show_name
from pipeline.base.files import Unreadable, read_bounded, write_text
from pipeline.base.json_files import LARGEST, parse_facts
from pipeline.base.strict_json import STRICT, parse_json
from pipeline.releasing.plan import Change, PlannedFile
from pipeline.releasing.show import format_size

SCHEMA = 1
_OWNER = re.compile(r"[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


class Host(StrEnum):
    """A host, by the scheme of its addresses."""

    HUGGING_FACE = "hf"
    KAGGLE = "kaggle"


class Step(StrEnum):
    """What a mirror does with a version."""

    UPLOAD = "upload"
    TAG = "tag"  # Hugging Face: everything is there but the tag
    PAGE = "page"  # the card alone is written again
    FORMATS = "formats"  # Hugging Face: the main branch gets further formats of its newest version, and the card
    NOTHING = "nothing"
    PASSED = "pass over"
    REFUSED = "refuse"


@dataclass(frozen=True)
class MirrorAddress:
    """Whose models a mirror writes: an organisation or user of Hugging Face, or an owner on Kaggle."""

    host: Host
    owner: str

    def __str__(self) -> str:
        return f"{self.host}://{self.owner}"


@dataclass(frozen=True)
class PlannedVersion:
    """A version of a module.

    Attributes:
        handle: <publisher>/<module>/<version>.
        sha256: of its tarball.
        place: where it goes: <organisation>/<module>, or <owner>/<model>/<framework>/<variation>.
        name: what it is called there: a tag, or Kaggle's number; None before Kaggle has numbered it.
        step: what is done.
        state: what the place held: the commit of the main branch, or Kaggle's newest number; None for a new place.
        files: of the version, as the host will have them.
        reason: why it is passed over or refused, or what else is to be known.
    """

    handle: str
    sha256: str
    place: str
    name: str | None
    step: Step
    state: str | None
    files: tuple[PlannedFile, ...] = ()
    reason: str = ""

    @property
    def is_written(self) -> bool:
        return self.step in (Step.UPLOAD, Step.TAG, Step.PAGE, Step.FORMATS)


@dataclass(frozen=True)
class MirrorPlan:
    """What a mirror would do.

    Attributes:
        schema: of this file.
        target: hf://<organisation> or kaggle://<owner>.
        hub: the folder.
        hub_sha256: the digest of the hub's index.
        made: when the plan was made, UTC, ISO 8601.
        versions: by module, the oldest first.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    schema: int
    target: str
    hub: str
    hub_sha256: str
    made: str
    versions: tuple[PlannedVersion, ...]

    def save(self, path: Path) -> None:
        """Writes the plan as JSON."""
        write_text(path, json.dumps(dataclasses.asdict(self), indent=1) + "\n")


def parse_address(text: str) -> MirrorAddress | None:
    """Reads TO=hf://<organisation> or TO=kaggle://<owner>; returns None for an address of another kind.

    Raises:
        Fault: when the rest is no name.
    """
    scheme, separator, owner = text.partition("://")
    if not separator or scheme not in tuple(Host):
        return None
    host, owner = Host(scheme), owner.removesuffix("/")
    if not _OWNER.fullmatch(owner):
        what = "organisation or user" if host is Host.HUGGING_FACE else "owner"
        raise Fault(f"TO={scheme}://{show_name(owner)}: expected {scheme}://<{what}>, its name alone")
    return MirrorAddress(host, owner)


def load_plan(path: Path) -> MirrorPlan:
    """Reads a plan.

    Raises:
        Fault: when it is missing, damaged, or the plan of something else.
    """
    advice = "make it again with make release-plan"
    try:
        content = read_bounded(path, LARGEST)
        plan = parse_json(MirrorPlan, content.decode()) if isinstance(parse_facts(content), dict) else None
    except FileNotFoundError:
        raise Fault(f"PLAN={path}: no such file; {advice}") from None
    except (Unreadable, ValueError) as reason:
        raise Fault(f"PLAN={path}: not the plan of a mirror ({reason}); {advice}") from None
    if plan is None or plan.schema != SCHEMA:
        raise Fault(f"PLAN={path}: not the plan of a mirror of schema {SCHEMA}; {advice}")
    return plan


def refuse_refusals(plan: MirrorPlan) -> None:
    """Raises Fault where a plan has versions that may not be mirrored."""
    if refused := [version for version in plan.versions if version.step is Step.REFUSED]:
        count = f"{len(refused)} version{'' if len(refused) == 1 else 's'}"
        lines = [f"{version.handle}: {version.reason}" for version in refused]
        raise Fault("\n".join([f"{plan.target}: nothing was written, since {count} may not be mirrored", *lines]))


def check_still_holds(plan: MirrorPlan, now: MirrorPlan) -> None:
    """Compares a plan with one that was made a moment ago; what an interrupted run of the plan did is no difference.

    Raises:
        Fault: names what has changed since the plan was made.
    """
    for name, before, after in (("TO", plan.target, now.target), ("HUB", plan.hub, now.hub)):
        if before != after:
            raise Fault(f"the plan is for {name}={before}, and this release for {name}={after}; make another plan")
    if plan.hub_sha256 != now.hub_sha256 or _contents(plan) != _contents(now):
        raise Fault(f"{plan.hub}: it has changed since the plan was made ({plan.made}); run make release-plan again")
    if moved := list(_moved(plan, now)):
        raise Fault(
            f"{plan.target}: it has changed since the plan was made ({plan.made}): {list_names(moved)}; nothing was"
            " written: run make release-plan again"
        )


def _contents(plan: MirrorPlan) -> set[tuple[str, str, str]]:
    return {(version.handle, file.path, file.sha256) for version in plan.versions for file in version.files}


def _moved(plan: MirrorPlan, now: MirrorPlan) -> Iterator[str]:
    """Yields the versions whose place has changed, but for what this plan did there."""
    planned = {version.handle: version for version in plan.versions}
    advanced = set()  # places where an interrupted run wrote
    for version in now.versions:
        before = planned[version.handle]
        if before.is_written and version.step in (Step.NOTHING, Step.TAG) and version.step is not before.step:
            advanced.add(version.place)
        elif (before.step, before.name) != (version.step, version.name) or (
            before.state != version.state and version.place not in advanced
        ):
            yield version.handle


def describe_plan(plan: MirrorPlan) -> Iterator[str]:
    """Yields the lines of a plan for a person: each version, each file with its size and digest, and totals."""
    yield f"mirror of {plan.hub} on {plan.target}"
    for version in plan.versions:
        name = version.name or "the next version"
        reason = f": {version.reason}" if version.reason else ""
        yield f"  {version.step:<9}  {version.handle} as {version.place}, {name}{reason}"
        for file in version.files if version.is_written else ():
            yield f"    {file.change:<9}  {format_size(file.size):>10}  {file.sha256[:16]}  {file.path}"
    yield "; ".join(_totals(plan))


def _totals(plan: MirrorPlan) -> Iterator[str]:
    for step in Step:
        if versions := [version for version in plan.versions if version.step is step]:
            written = [file for version in versions for file in version.files if file.change is not Change.UNCHANGED]
            size = (
                f" ({format_size(sum(file.size for file in written))})" if step in (Step.UPLOAD, Step.FORMATS) else ""
            )
            yield f"{step} {len(versions):,} version{'' if len(versions) == 1 else 's'}{size}"
