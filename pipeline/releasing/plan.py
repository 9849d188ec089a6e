"""The plan of a release: per file, what would be written, and the state of the target that it was made for."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

from pipeline.base.fault import Fault, list_names
from pipeline.base.files import Unreadable, read_bounded, write_text
from pipeline.base.json_files import LARGEST, parse_facts
from pipeline.base.strict_json import STRICT, parse_json

SCHEMA = 1


class Change(StrEnum):
    """What a release does with a file."""

    NEW = "new"
    CHANGED = "changed"  # a page that was corrected
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True)
class PlannedFile:
    """A file of the hub.

    Attributes:
        path: in the hub.
        size: in bytes.
        sha256: in hexadecimal.
        change: what the release does with it.
        tag: of the target's file; None where there is none.
        reason: why it is refused, or what else is to be known.
    """

    path: str
    size: int
    sha256: str
    change: Change
    tag: str | None = None
    reason: str = ""

    @property
    def is_written(self) -> bool:
        return self.change in (Change.NEW, Change.CHANGED)


@dataclass(frozen=True)
class PlannedPart:
    """A file of the index, index/<00-ff>.json or index/root.json.

    Attributes:
        path: in the hub.
        tag: of the target's file; None where there is none.
        before: the SHA-256 of the target's file.
        after: the SHA-256 of what the release makes of it.
    """

    path: str
    tag: str | None
    before: str | None
    after: str

    @property
    def change(self) -> Change:
        return Change.NEW if self.before is None else Change.UNCHANGED if self.before == self.after else Change.CHANGED


@dataclass(frozen=True)
class Plan:
    """What a release would do.

    Attributes:
        schema: of this file.
        target: its address, without credentials.
        hub: the folder.
        url: the hub's public address, None where it has none.
        hub_sha256: the digest of the hub's index.
        made: when the plan was made, UTC, ISO 8601.
        files: all files that the hub lists: tarballs, formats, cards, plots, statements, collections' pages.
        claims: what the target has no claim for: handles of versions, and paths of formats' files.
        index: the parts of the index.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    schema: int
    target: str
    hub: str
    url: str | None
    hub_sha256: str
    made: str
    files: tuple[PlannedFile, ...]
    claims: tuple[str, ...]
    index: tuple[PlannedPart, ...]

    @property
    def refused(self) -> tuple[PlannedFile, ...]:
        return tuple(file for file in self.files if file.change is Change.REFUSED)

    def with_change(self, *changes: Change) -> tuple[PlannedFile, ...]:
        return tuple(file for file in self.files if file.change in changes)

    def save(self, path: Path) -> None:
        """Writes the plan as JSON."""
        write_text(path, json.dumps(dataclasses.asdict(self), indent=1) + "\n")


def load_plan(path: Path) -> Plan:
    """Reads a plan.

    Raises:
        Fault: when it is missing, damaged, or of another version of this program.
    """
    advice = "make it again with make release-plan"
    try:
        content = read_bounded(path, LARGEST)
        schema = facts.get("schema") if isinstance(facts := parse_facts(content), dict) else None
        if schema != SCHEMA:
            raise Unreadable(f"a plan of schema {schema!r}, expected {SCHEMA}")
        return parse_json(Plan, content.decode())
    except FileNotFoundError:
        raise Fault(f"PLAN={path}: no such file; {advice}") from None
    except (Unreadable, ValueError) as reason:
        raise Fault(f"PLAN={path}: {reason}; {advice}") from None


def refuse_refusals(plan: Plan) -> None:
    """Raises Fault where a plan has files that may not be released."""
    if plan.refused:
        by_reason: dict[str, list[str]] = {}
        for file in plan.refused:
            by_reason.setdefault(file.reason, []).append(file.path)
        lines = [f"{_first_of(paths)}: {reason}" for reason, paths in by_reason.items()]
        count = _count(len(plan.refused))
        raise Fault("\n".join([f"{plan.target}: nothing was released, since {count} may not be", *lines]))


def _first_of(paths: list[str]) -> str:
    return f"{paths[0]} and {_count(len(paths) - 1)} more" if paths[1:] else paths[0]


def _count(files: int) -> str:
    return f"{files} file{'' if files == 1 else 's'}"


def check_still_holds(plan: Plan, now: Plan) -> None:
    """Compares a plan with one made a moment ago; what an interrupted release of the plan did is no difference.

    Raises:
        Fault: names what has changed since the plan was made.
    """
    for name, before, after in (
        ("TO", plan.target, now.target),
        ("HUB", plan.hub, now.hub),
        ("the hub's public address", plan.url, now.url),
    ):
        if before != after:
            raise Fault(f"the plan is for {name} {before}, and this release for {after}; make another plan")
    if plan.hub_sha256 != now.hub_sha256 or _contents(plan) != _contents(now):
        raise Fault(f"{plan.hub}: it has changed since the plan was made ({plan.made}); run make release-plan again")
    if moved := [*_moved_files(plan, now), *_moved_parts(plan, now), *sorted({*now.claims} - {*plan.claims})]:
        raise Fault(
            f"{plan.target}: it has changed since the plan was made ({plan.made}): {list_names(moved)}; nothing was"
            " written: run make release-plan again"
        )


def _contents(plan: Plan) -> set[tuple[str, str]]:
    return {(file.path, file.sha256) for file in plan.files}


def _moved_files(plan: Plan, now: Plan) -> Iterator[str]:
    planned = {file.path: file for file in plan.files}
    for file in now.files:
        before = planned[file.path]
        is_done = before.is_written and file.change is Change.UNCHANGED
        if not is_done and (before.change, before.tag) != (file.change, file.tag):
            yield file.path


def _moved_parts(plan: Plan, now: Plan) -> Iterator[str]:
    planned = {part.path: part for part in plan.index}
    for part in now.index:
        before = planned.get(part.path)
        if before is None or part.before not in (before.before, before.after):
            yield part.path
