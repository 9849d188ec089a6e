"""Plans and carries out the mirror of a hub on a host: what pipeline.release does for hf:// and kaggle:// addresses."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.clock import timestamp
from pipeline.base.files import write_text
from pipeline.mirrors import hugging_face, kaggle
from pipeline.mirrors.plan import (
    SCHEMA,
    Host,
    MirrorAddress,
    MirrorPlan,
    PlannedVersion,
    Step,
    check_still_holds,
    describe_plan,
    load_plan,
    refuse_refusals,
)
from pipeline.mirrors.records import Mirrored, one_at_a_time, read_record, write_record
from pipeline.releasing.local_hub import LocalHub, read_local_hub
from pipeline.releasing.receipts import file_name


@dataclass(frozen=True)
class MirrorReceipt:
    """A mirror that was completed.

    Attributes:
        schema: of this file.
        target: hf://<organisation> or kaggle://<owner>.
        hub: the folder.
        planned: when the plan was made, UTC, ISO 8601.
        completed: when the last version was written.
        versions: what the plan said of each version and its files.
        mirrored: where each version is that is there now, with its tag and commit, or its number on Kaggle.
    """

    schema: int
    target: str
    hub: str
    planned: str
    completed: str
    versions: tuple[PlannedVersion, ...]
    mirrored: tuple[Mirrored, ...]

    def save(self, path: Path) -> None:
        write_text(path, json.dumps(dataclasses.asdict(self), indent=1) + "\n")


def plan_mirror(hub: LocalHub, address: MirrorAddress) -> MirrorPlan:
    """Compares a hub with a host; writes nothing there.

    Raises:
        Fault: when the host cannot be reached, or refuses the credentials.
    """
    record = read_record(hub.folder, address)
    plan = hugging_face.plan_versions if address.host is Host.HUGGING_FACE else kaggle.plan_versions
    versions = tuple(plan(hub, address.owner, record))
    return MirrorPlan(SCHEMA, str(address), str(hub.folder.resolve()), hub.digest, timestamp(), versions)


def carry_out(plan: MirrorPlan, hub: LocalHub, address: MirrorAddress) -> MirrorReceipt:
    """Does what a plan says, and remembers in the hub where each version is.

    Args:
        plan: was made a moment ago.
        hub: what it was made from.
        address: what it was made for.

    Raises:
        Fault: when the plan refuses a version, somebody else wrote there meanwhile, or the host fails. What was written
            stays, and the next run goes on from there.
    """
    refuse_refusals(plan)
    if address.host is Host.KAGGLE:
        kaggle.recognise(hub, address, plan.versions)
    states: dict[str, str | None] = {}
    for version in plan.versions:
        if not version.is_written:
            continue
        print(f"{version.step} {version.handle}: {version.place}", flush=True)
        state = states.get(version.place, version.state)
        if address.host is Host.HUGGING_FACE:
            mirrored = hugging_face.carry_out(hub, address.owner, version, state)
            states[version.place] = mirrored.commit
        else:
            mirrored = kaggle.carry_out(hub, address.owner, version, int(state or 0))
            states[version.place] = mirrored.name if version.step is Step.UPLOAD else state
        write_record(hub.folder, address, read_record(hub.folder, address).with_mirrored(mirrored))
    record, handles = read_record(hub.folder, address), {version.handle for version in plan.versions}
    mirrored_versions = tuple(value for handle, value in sorted(record.mirrored.items()) if handle in handles)
    return MirrorReceipt(SCHEMA, plan.target, plan.hub, plan.made, timestamp(), plan.versions, mirrored_versions)


def write_plan(hub: Path, address: MirrorAddress, path: Path | None, folder: Path) -> str:
    """Makes a plan, shows it and writes it; returns the subject of the command.

    Args:
        hub: the folder.
        address: of the mirror.
        path: the file to write; None for one in `folder`.
        folder: of plans and receipts.

    Raises:
        Fault: when the hub is damaged, or the plan refuses a version; the plan is written all the same.
    """
    path = path or folder / f"{file_name(str(address))}.plan.json"
    plan = plan_mirror(read_local_hub(hub), address)
    plan.save(path)
    _show(plan)
    refuse_refusals(plan)
    return f"{hub} to {address}, plan in {path}"


def run(hub: Path, address: MirrorAddress, given: Path | None, folder: Path) -> str:
    """Mirrors a hub; returns the subject of the command.

    Args:
        hub: the folder.
        address: of the mirror.
        given: the file of the plan to carry out; None makes one, and shows it.
        folder: of plans and receipts.
    """
    expected = load_plan(given) if given else None
    with one_at_a_time(hub, address):
        local = read_local_hub(hub)
        plan = plan_mirror(local, address)
        if expected is None:
            _show(plan)
        else:
            check_still_holds(expected, plan)
        receipt = carry_out(plan, local, address)
    path = folder / f"{file_name(str(address))}.json"
    receipt.save(path)
    written = sum(version.is_written for version in plan.versions)
    return f"{written} of {len(plan.versions)} versions of {hub} to {address}, receipt in {path}"


def _show(plan: MirrorPlan) -> None:
    for line in describe_plan(plan):
        print(line)
