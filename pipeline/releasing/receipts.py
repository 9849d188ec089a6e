"""The record of a release: what was released where and when, with digests and without credentials."""

import dataclasses
import json
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pipeline.base.clock import timestamp
from pipeline.base.files import write_text
from pipeline.releasing.plan import Plan, PlannedFile

SCHEMA = 1


@dataclass(frozen=True)
class Receipt:
    """A release that was completed.

    Attributes:
        schema: of this file.
        target: its address, without credentials.
        hub: the folder.
        url: the hub's public address, None where it has none.
        planned: when the plan was made, UTC, ISO 8601.
        completed: when the start page was written.
        files: what the target has of the hub, and what the release did with each.
        index: the SHA-256 of the parts of the index that were written, by path.
        pages: how many pages were written.
    """

    schema: int
    target: str
    hub: str
    url: str | None
    planned: str
    completed: str
    files: tuple[PlannedFile, ...]
    index: dict[str, str]
    pages: int

    def save(self, path: Path) -> None:
        write_text(path, json.dumps(dataclasses.asdict(self), indent=1) + "\n")


def make_receipt(plan: Plan, index: dict[str, str], pages: int) -> Receipt:
    """Returns the receipt of a plan that was carried out a moment ago."""
    completed = timestamp()
    return Receipt(SCHEMA, plan.target, plan.hub, plan.url, plan.made, completed, plan.files, index, pages)


def file_name(target: str) -> str:
    """Returns the name, without suffix, of the files about a target: its letters and digits, and a digest."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", target).strip("-")[-100:]
    return f"{words}-{sha256(target.encode()).hexdigest()[:8]}"
