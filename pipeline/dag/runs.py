"""What became of each member of a collection: the last runs of its stages, and whether the hub has it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.run_records import Outcome, RunRecord, read_record
from pipeline.base.yaml_sections import Member
from pipeline.dag.receipts import find_published
from pipeline.facts.collection import Collection, Module, handle

FOLDER = ".runs"  # in the folder of all outputs
# The files of a member's records, in the order in which a fault of one keeps those after it from running; "version" is
# pipeline.published.
RECORDS = (
    "check", "fetch", "version", "convert", "validate", "formats", "card", "package-classification", "package-fe",
    "publish",
)  # fmt: skip


class State(StrEnum):
    """What became of a member, or of a collection's page; PARTIAL is for pages alone."""

    PUBLISHED = "published"
    PARTIAL = "published without some members"
    FAILED = "failed"
    STOPPED = "stopped"
    RUNNING = "was killed or is running"
    WAITING = "not published yet"


@dataclass(frozen=True)
class Runs:
    """What became of a member, or of a collection's page.

    Attributes:
        name: the member's.
        state: what became of it.
        records: of the last run of each stage, by the name of its file.
        failed: the name of the stage that failed or was stopped; "" where none did.
        earlier: whether the hub has what was published before.
    """

    name: str
    state: State
    records: dict[str, RunRecord]
    failed: str = ""
    earlier: bool = False

    @property
    def sentence(self) -> str:
        """Why it failed; "" where nothing failed."""
        return self.records[self.failed].sentence if self.state is State.FAILED else ""


def has_member(path: Path, collection: Collection, artifacts: Path, hub: Path) -> bool:
    """Whether a hub has the version that a member's file names, with the figures of its last report.

    Args:
        path: the member's YAML file.
        collection: its collection.
        artifacts: the folder of all outputs.
        hub: the hub's folder.

    Returns:
        False for a member whose file is malformed, too: nobody knows which version it names.
    """
    folder = artifacts / path.stem
    receipt, report = folder / "published.json", folder / "report.json"
    names = find_published(receipt, hub)
    if not names or not report.exists() or report.stat().st_mtime_ns > receipt.stat().st_mtime_ns:
        return False
    try:
        version = Member(path).section("module", Module).version
    except Fault:  # the stage check reports it
        return False
    return all(handle(collection, path.stem, head, version) in names for head in Head)


def read_runs(path: Path, collection: Collection, artifacts: Path, hub: Path) -> Runs:
    """Returns what became of a member; see has_member() for the arguments.

    A run that failed counts until the member is published after it, or its file is put back to what is published.
    """
    is_published = has_member(path, collection, artifacts, hub)
    records = _read_records(artifacts / FOLDER / path.stem, RECORDS)
    receipt = artifacts / path.stem / "published.json"
    since = receipt.stat().st_mtime if receipt.exists() else 0.0
    if is_published:
        since = max(since, path.stat().st_mtime)
    current = {name: record for name, record in records.items() if record.started + record.seconds > since}
    earlier = bool(find_published(receipt, hub))
    return _judge(
        Runs(path.stem, State.PUBLISHED if is_published else State.WAITING, records, earlier=earlier), current
    )


def read_page_runs(name: str, artifacts: Path, hub: Path) -> Runs:
    """Returns what became of a collection's page.

    Args:
        name: the collection's.
        artifacts: the folder of all outputs.
        hub: the hub's folder.
    """
    records = _read_records(artifacts / FOLDER / f"collection-{name}", ("collection", "publish"))
    folder = artifacts / "collections" / name
    receipts = {folder / "published.json": State.PUBLISHED, folder / "published.partial.json": State.PARTIAL}
    times = {path: path.stat().st_mtime for path in receipts if path.exists()}
    ends = max(times.values(), default=0.0)
    newest = max(times, key=times.__getitem__, default=None)  # the page in the hub is the one that was published last
    state = receipts[newest] if newest and find_published(newest, hub) else State.WAITING
    current = {each: record for each, record in records.items() if record.started + record.seconds > ends}
    return _judge(Runs(name, state, records), current)


def _read_records(folder: Path, names: Sequence[str]) -> dict[str, RunRecord]:
    return {name: record for name in names if (record := read_record(folder / f"{name}.json"))}


def _judge(runs: Runs, current: dict[str, RunRecord]) -> Runs:
    """Returns the runs with the first stage that failed or was stopped, of those that count."""
    states = {Outcome.FAILED: State.FAILED, Outcome.STOPPED: State.STOPPED, Outcome.RUNNING: State.RUNNING}
    for outcome, state in states.items():
        for name, record in current.items():
            if record.outcome is outcome:
                return Runs(runs.name, state, runs.records, name, runs.earlier)
    return runs
