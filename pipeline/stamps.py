"""stamps: small files that change only when something that a target depends on does; make compares their times.

    python -m pipeline.stamps FOLDER CARDS [--collection NAME | --model NAME] [--set NAME=VALUE...]
                              [--settings NAME...] [--checkpoints FOLDER_OR_URL] [--lock FILE] [--imagenet PLACE]
                              [--real FILE] [--samples N] [--split SPLIT] [--formats NAMES] [--check-only]
                              [--keep-going]

CARDS is the folder of all collections, model_cards; the outputs of members lie beside FOLDER. It refuses settings that
no stage can use, then, without --check-only, a file that cannot be read of the member, or of the collection's members,
that the settings are for (with --keep-going it names the file and goes on: make fails in the end, by `unreadable`), and
writes into FOLDER, where the text differs:

    <stage>.code               the code of a stage and of all that it imports
    <member>.<section>         a section, with the digests of the files that it names
    <member>.source, .images   the checkpoint's file and the images, as the settings have them
    <member>.formats           the formats to make, and what their files say of the member
    <member>.pin               renewed when the lock file has other weights than the fetched checkpoint
    <member>.verified          whether the lock file verifies a file that fetch could not verify
    <name>.hub                 renewed when the hub lacks something that the receipt of a member or collection lists
    collection-<name>.facts, templates, site, requirements, and a stamp for each --set
    unreadable                 what is wrong with files that --keep-going has named; empty without any

FOLDER/code.json and FOLDER/digests.json are its memory of files that it has read. Every make runs it: it imports
nothing but the standard library and YAML.
"""

import argparse
import itertools
import os
import sys
from collections.abc import Iterable, Sequence, Set
from pathlib import Path

from pipeline.base.addresses import hide_secrets
from pipeline.base.command import command_line, guarded
from pipeline.base.fault import Fault, escape_controls
from pipeline.base.files import sha256_of
from pipeline.base.siblings import sweeping_once
from pipeline.base.stage_code import ROOT, StageCode
from pipeline.base.yaml_sections import YamlFile
from pipeline.checkpoints import lock_file
from pipeline.checkpoints.lock_file import LockFile
from pipeline.dag import members, receipts, weights
from pipeline.dag.digests import Digests, Stamps, digest_texts
from pipeline.dag.settings import COLLECTION_RECORDS, Settings, check_collections, check_environment
from pipeline.hub.folder import hub_folder
from pipeline.hub.guides import find_guides
from pipeline.hub.settings import public_url

STAGES = ("fetch", "convert", "validate", "member_formats", "card", "collection", "package", "publish")


def write_code(stamps: Stamps) -> None:
    """Writes the stamps of code, templates and requirements, which all members share."""
    code = StageCode(stamps.folder / "code.json")
    for stage in STAGES:
        stamps.write(f"{stage}.code", code.digest(stage))
    code.keep()
    templates = ROOT / "templates"
    kinds = ("*.jinja", "*.json", "*.yaml", "plots/*.jinja")
    stamps.write("templates", digest_texts((path for kind in kinds for path in templates.glob(kind)), templates))
    stamps.write("site", digest_texts([*(templates / "site").iterdir(), *find_guides().files], ROOT))
    stamps.write("requirements", sha256_of(ROOT / "requirements.lock"))


def write_member(
    stamps: Stamps, member: members.Sections, collection: members.CollectionFacts, digests: Digests
) -> None:
    """Writes the stamps of a member's sections."""
    name = member.path.stem
    for section, text in members.section_texts(member, collection, digests).items():
        stamps.write_unless_empty(f"{name}.{section}", text)
    for setting in ("source", "images", "formats", "pin", "verified"):  # write_selected() fills them in
        stamps.write_unless_empty(f"{name}.{setting}", "")


def write_selected(
    stamps: Stamps,
    member: members.Sections,
    collection: members.CollectionFacts,
    settings: Settings,
    digests: Digests,
    lock: LockFile | None,
) -> None:
    """Writes the stamps that follow from the settings, for a member that they are for.

    Args:
        stamps: the folder of stamps; it lies in that of all members' outputs.
        member: the member.
        collection: what collection.yaml says.
        settings: where its checkpoint and images are, and which formats to make.
        digests: the digests of large files.
        lock: its lock file; None for one that is not valid.
    """
    name = member.path.stem
    stamps.write_unless_empty(f"{name}.source", members.source_text(member, settings, digests))
    stamps.write_unless_empty(f"{name}.images", members.images_text(member, settings))
    if formats := members.formats_text(member, collection, settings):
        stamps.write(f"{name}.formats", formats, renew=receipts.lacks_formats(stamps.folder.parent / name))
    if member.checkpoint is None:
        return
    fetched = stamps.folder.parent / name / "checkpoint.npz"
    if weights.is_outdated(fetched, lock, member.checkpoint.name):
        stamps.write(f"{name}.pin", "", renew=True)
    stamps.write(f"{name}.verified", weights.verified_text(fetched, lock, member.checkpoint.name))


def write_collection(
    stamps: Stamps, paths: Sequence[Path], selected: Set[Path], settings: Settings, digests: Digests, keep_going: bool
) -> list[str]:
    """Writes the stamps of a collection and of its members; reads collection.yaml and the lock file once.

    Args:
        stamps: the folder of stamps.
        paths: the members' files, all in the collection's folder.
        selected: those of the members, of any collection, that the settings are for.
        settings: where checkpoints and images are.
        digests: the digests of large files.
        keep_going: whether a selected member's file that cannot be read at all stops no other.

    Returns:
        What is wrong with such files; each is printed on stderr, too.

    Raises:
        Fault: when there is such a file, and `keep_going` is false.
    """
    faults = []
    folder = paths[0].parent
    collection = members.read_collection(folder)
    lock = weights.read_lock(lock_file.locate(folder, settings.lock))
    for path in paths:
        member = members.read_sections(path)
        if path in selected and member.fault:  # no stamp would tell it to a stage that is done, but for card
            if not keep_going:
                raise Fault(member.fault)
            faults.append(escape_controls(hide_secrets(member.fault)))
            print(f"stamps: {faults[-1]}", file=sys.stderr)
        write_member(stamps, member, collection, digests)
        if path in selected:
            write_selected(stamps, member, collection, settings, digests, lock)
    names = sorted(path.stem for path in paths)
    stamps.write(f"{COLLECTION_RECORDS}{folder.name}.facts", " ".join([collection.digest, *names]))
    return faults


def write_receipts(stamps: Stamps, paths: Sequence[Path]) -> None:
    """Writes the stamps of what the hub has of the members and of their collections."""
    artifacts = stamps.folder.parent
    outputs = {path.stem: artifacts / path.stem for path in paths}
    collections = {path.parent.name for path in paths}
    outputs |= {f"{COLLECTION_RECORDS}{name}": artifacts / "collections" / name for name in collections}
    for name, folder in outputs.items():
        stamps.write(f"{name}.hub", "", renew=receipts.is_incomplete(folder / "published.json"))


def find_members(cards: Path) -> list[Path]:
    """Returns the files of all members, those that make's wildcard model_cards/*/*.yaml finds, sorted."""
    return sorted(
        path
        for path in cards.glob("*/*.yaml")
        if path.name != "collection.yaml" and not path.name.startswith(".") and not path.parent.name.startswith(".")
    )


def address_of(hub: str, given: str | None, move: bool, folders: Iterable[Path]) -> str:
    """Returns the hub's address for the stamp of cards: "" for the one that the collections themselves name."""
    url = public_url(hub_folder(hub), given, move)
    if url is None or all(YamlFile(folder / "collection.yaml").plain().get("hub_url") == url for folder in folders):
        return ""
    return url


def write_all(stamps: Stamps, paths: Sequence[Path], selected: Set[Path], settings: Settings, keep_going: bool) -> None:
    """Writes all stamps but those of --set; see write_collection(), whose `paths` are those of all collections here."""
    digests = Digests(stamps.folder / "digests.json")
    write_code(stamps)
    faults = []
    for _, group in itertools.groupby(paths, lambda path: path.parent):
        faults += write_collection(stamps, list(group), selected, settings, digests, keep_going)
    digests.keep()
    stamps.write("unreadable", "\n".join(faults))
    write_receipts(stamps, paths)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.stamps", description="Writes make's stamps.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("cards", type=Path, help="the folder of all collections")
    parser.add_argument("--collection", default="", help="the collection whose members the settings are for")
    parser.add_argument("--model", default="", help="the member that they are for, instead")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--settings", nargs="*", default=[], help="the names of all settings")
    parser.add_argument("--checkpoints", default="", help="the setting CHECKPOINTS")
    parser.add_argument("--lock", default="", help="the setting LOCK")
    parser.add_argument("--imagenet", default="", help="the setting IMAGENET")
    parser.add_argument("--real", default="", help="the setting REAL")
    parser.add_argument("--samples", default="", help="the setting SAMPLES")
    parser.add_argument("--split", default="", help="the setting SPLIT")
    parser.add_argument("--formats", default="", help="the setting FORMATS")
    parser.add_argument("--move", action="store_true", help="the setting MOVE")
    parser.add_argument("--check-only", action="store_true", help="refuse wrong settings, and write nothing")
    parser.add_argument("--keep-going", action="store_true", help="name files that cannot be read, and go on")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    args = parse(arguments)
    values = dict(pair.split("=", 1) for pair in args.set)
    hub = values.get("hub", "")
    settings = Settings(
        args.checkpoints,
        args.lock,
        args.imagenet,
        args.real,
        args.samples,
        hub,
        args.split,
        values.get("hub_url", ""),
        args.formats,
    )
    settings.check()
    check_environment(os.environ, args.settings)
    paths = find_members(args.cards)
    check_collections(paths)
    if args.check_only:
        return
    selected = {
        path for path in paths if (path.stem == args.model if args.model else path.parent.name == args.collection)
    }
    if hub:
        folders = {path.parent for path in selected}
        values["hub_url"] = address_of(hub, values.get("hub_url") or None, args.move, folders)
    stamps = Stamps(args.folder)
    with sweeping_once(args.folder):
        write_all(stamps, paths, selected, settings, args.keep_going)
        for name, value in values.items():
            stamps.write(name, value)


if __name__ == "__main__":
    raise SystemExit(guarded("stamps", lambda: main(command_line())))
