"""release: takes a hub to a target, by a plan.

    python -m pipeline.release plan HUB TO --artifacts FOLDER [--plan FILE]
    python -m pipeline.release run HUB TO --artifacts FOLDER [--plan FILE] [--sign KEYS] [--root ROOT.JSON]

A target is a folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix. `plan` checks the hub, compares
it with the target, shows what would be done and writes that down; it writes nothing to the target. `run` does exactly
what a plan says, or makes one itself. It fails before the first write when the hub or the target has changed since, and
continues what an interrupted release began. FOLDER/releases/ has the plans and a receipt per target.

hf://organisation and kaggle://owner are mirrors (pipeline.mirrors): the modules in other forms, likewise by a plan.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.base.command import command
from pipeline.base.fault import Fault
from pipeline.base.files import Unreadable, expand_home, read_bounded
from pipeline.base.program import program
from pipeline.hub.folder import hub_folder
from pipeline.mirrors import mirror
from pipeline.mirrors.plan import parse_address
from pipeline.releasing.carry_out import carry_out
from pipeline.releasing.local_hub import LocalHub, read_local_hub
from pipeline.releasing.pages import write_pages
from pipeline.releasing.plan import Plan, check_still_holds, load_plan, refuse_refusals
from pipeline.releasing.planning import make_plan
from pipeline.releasing.receipts import file_name, make_receipt
from pipeline.releasing.show import describe_plan
from pipeline.releasing.signing import LARGEST_ROOT, Signing, check_signing
from pipeline.targets.interface import Target
from pipeline.targets.open import open_target
from pipeline.targets.probe import probe
from pipeline.trust.keys import load_signers


def write_plan(hub: Path, target: Target, path: Path) -> Plan:
    """Makes a plan, shows it and writes it.

    Raises:
        Fault: when the hub is damaged, or the plan has files that may not be released; it is written all the same.
    """
    plan = make_plan(read_local_hub(hub), target)
    plan.save(path)
    _show(plan)
    refuse_refusals(plan)
    return plan


def release(hub: LocalHub, target: Target, given: Plan | None, folder: Path, signing: Signing | None = None) -> Plan:
    """Releases a hub to a target.

    Args:
        hub: was checked.
        target: where to.
        given: the plan to carry out; None makes one, and shows it.
        folder: for the receipt, and what is remembered of the target's pages.
        signing: the keys for a signed target.

    Returns:
        What was carried out: the plan, without what an interrupted release had done already.
    """
    check_signing(target, signing)
    plan = make_plan(hub, target)
    if given is None:
        _show(plan)
    refuse_refusals(plan)
    if given is not None:
        check_still_holds(given, plan)
    name = file_name(target.address)
    probe(target)
    if leftovers := target.sweep():
        print(f"removed {leftovers} unfinished uploads of interrupted releases")
    written = carry_out(plan, hub, target, signing)
    pages = write_pages(hub, target, folder / f"{name}.pages")
    make_receipt(plan, written.index, pages).save(folder / f"{name}.json")
    return plan


def find_target(address: str, hub: Path) -> Target:
    """Returns the target of TO=; a folder by its absolute path, so that plans and receipts name one place.

    Raises:
        Fault: when the address is no target, or a folder that overlaps with the hub.
    """
    if urlsplit(address).scheme not in ("", "file"):
        return open_target(address)
    folder, here = hub_folder(address).resolve(), hub.resolve()
    if folder.is_relative_to(here) or here.is_relative_to(folder):
        raise Fault(f"TO={address}: it is the hub itself, or one lies in the other; name a folder apart from {hub}")
    return open_target(str(folder))


def _read_signing(sign: str, root: Path | None) -> Signing | None:
    """Reads the keys of SIGN= and the root.json of ROOT=; None without SIGN=."""
    if not sign:
        return None
    try:
        return Signing(load_signers(sign), read_bounded(root, LARGEST_ROOT) if root else None)
    except (FileNotFoundError, Unreadable) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise Fault(f"ROOT={root}: {reason}, expected a root.json; make keys writes one") from None


def _show(plan: Plan) -> None:
    for line in describe_plan(plan):
        print(line)


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog=program("release"), description="Releases a hub to a target.")
    parser.add_argument("what", choices=("plan", "run"))
    parser.add_argument("hub", help="the hub: a folder")
    parser.add_argument("to", help="the target: a folder, s3://, gs://, az://, hf:// or kaggle://")
    parser.add_argument("--artifacts", type=Path, required=True, help="the folder of outputs, for plans and receipts")
    parser.add_argument("--plan", type=Path, help="plan: the file to write; run: the plan to carry out")
    parser.add_argument("--sign", default="", help="run: the keys of release, snapshot and timestamp, for a signed hub")
    parser.add_argument("--root", type=expand_home, help="run: a root.json that the target's signatures must lead to")
    args = parser.parse_args(arguments)
    hub, folder = hub_folder(args.hub), args.artifacts / "releases"
    if address := parse_address(args.to):
        if args.what == "plan":
            return mirror.write_plan(hub, address, args.plan, folder)
        if args.sign:
            raise Fault(f"SIGN= is for hubs, and {address} is a mirror, which has no signed index; leave it out")
        return mirror.run(hub, address, args.plan, folder)
    target = find_target(args.to, hub)
    if args.what == "plan":
        path = args.plan or folder / f"{file_name(target.address)}.plan.json"
        plan = write_plan(hub, target, path)
        return f"{hub} to {target.address}, plan in {path}"
    given = load_plan(args.plan) if args.plan else None
    plan = release(read_local_hub(hub), target, given, folder, _read_signing(args.sign, args.root))
    receipt = folder / f"{file_name(target.address)}.json"
    return f"{len(plan.files)} files of {hub} to {target.address}, receipt in {receipt}"


if __name__ == "__main__":
    raise SystemExit(command("release", main))
