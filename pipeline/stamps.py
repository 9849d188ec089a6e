"""stamps: small files that change only when something a target depends on does; make compares their times.

    python -m pipeline.stamps FOLDER MEMBER.yaml... [--receipts NAME=RECEIPT...] [--set NAME=VALUE...]
                              [--selected NAME...] [--checkpoints FOLDER] [--lock FILE] [--imagenet PLACE]
                              [--real FILE] [--samples N]

writes, only where the text differs, FOLDER/<stage>.code, FOLDER/<member>.<section>, FOLDER/<member>.images,
FOLDER/collection-<name>.facts, FOLDER/templates, FOLDER/site, FOLDER/requirements, FOLDER/<name> for each setting, and
FOLDER/<name>.hub for each receipt, which is renewed when something that the receipt names is no longer in the hub.
FOLDER/<member>.pin is renewed when the lock file has other weights than the checkpoint that is there, and
FOLDER/<member>.verified when a card says otherwise of its pinned digests than the lock file and the YAML file by now.
FOLDER/code.json and FOLDER/digests.json are what it remembers of files that it has read. Imports nothing but the
standard library and YAML, since every make runs it.
"""

import argparse
import functools
import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pipeline.base import yaml_sections
from pipeline.base.command import guarded
from pipeline.base.fault import Fault
from pipeline.base.files import sha256_of, write_text
from pipeline.base.heads import Head
from pipeline.base.stage_code import ROOT, StageCode
from pipeline.checkpoints import lock_file, provenance
from pipeline.checkpoints.lock_file import LockFile

STAGES = ("fetch", "convert", "validate", "card", "collection", "package", "publish")


def files_digest(paths: Iterable[Path]) -> str:
    """Returns the digest of the names (with their folders') and contents of those paths that are files."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        if path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.parent.name}/{path.name}\n{content}\n".encode())
    return digest.hexdigest()


class Digests:
    """SHA-256 of large files, remembered by size and time, so that an unchanged file is not read again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, list] = json.loads(path.read_text()) if path.exists() else {}

    def of(self, path: Path) -> str:
        stat = path.stat()
        known = self._known.get(str(path.resolve()))
        if known is None or known[:2] != [stat.st_size, stat.st_mtime_ns]:
            known = [stat.st_size, stat.st_mtime_ns, sha256_of(path)]
            self._known[str(path.resolve())] = known
            write_text(self._path, json.dumps(self._known))
        return str(known[2])


def _dict(value: object) -> dict[str, Any]:
    """Returns a section, or an empty one in place of whatever else stands there; its stage says what is wrong."""
    return value if isinstance(value, dict) else {}


@functools.cache
def _sections(path: Path) -> dict[str, Any] | str:
    """Returns a member's sections, or what is wrong with the file; parsed once for its several stamps."""
    try:
        return yaml_sections.YamlFile(path).plain()
    except Fault as fault:
        return str(fault)


def member_texts(path: Path) -> dict[str, str]:
    """Returns the stamp text of each section of a member, with the digests of files that the section names.

    The section `module` includes collection.yaml, which the cards are made of too, and `evaluation` what that says of
    the logits. A file that is not valid gives a
    text that says so; the stage that reads it reports it.
    """
    found = _sections(path)
    if isinstance(found, str):
        return dict.fromkeys(yaml_sections.SECTIONS, found)
    texts = {name: json.dumps(found.get(name), default=str) for name in yaml_sections.SECTIONS}
    if labels := _dict(found.get("model")).get("labels"):
        texts["model"] += files_digest([path.parent / str(labels)])
    if images := _dict(found.get("evaluation")).get("images"):
        texts["evaluation"] += files_digest((path.parent / str(images)).glob("*/*"))
    collection = path.parent / "collection.yaml"
    texts["module"] += files_digest([collection])
    facts = _sections(collection)
    texts["evaluation"] += facts if isinstance(facts, str) else str(facts.get("activation"))
    return texts


def source_text(path: Path, checkpoints: str, digests: Digests) -> str:
    """Returns the digest of a member's checkpoint where one lies on this machine, else "".

    A member whose checkpoint's digest is not pinned is defined by the file itself: another file in CHECKPOINTS= is
    another checkpoint. Where a digest is pinned, it alone counts.
    """
    section = _dict(_dict(_sections(path)).get("checkpoint"))
    if not section or section.get("sha256"):
        return ""
    name = str(section.get("name"))
    listed = section.get("sources")
    places = [
        path.parent / str(source).replace("{name}", name) for source in (listed if isinstance(listed, list) else [])
    ]
    if checkpoints:
        places.insert(0, Path(checkpoints).expanduser() / f"{name}.npz")
    return next((digests.of(place) for place in places if place.is_file()), "")


def superseded(checkpoint: Path, lock: Path, name: str) -> bool:
    """Whether a checkpoint that was fetched has other arrays than the lock file says by now, or a record of no use.

    A lock file that says the same, or nothing, changes nothing: the first fetch writes it while make runs.

    Args:
        checkpoint: the checkpoint, beside which fetch wrote its record, see pipeline.checkpoints.provenance.
        lock: the lock file.
        name: the checkpoint's.
    """
    if not provenance.path_of(checkpoint).exists():
        return False
    record = provenance.read_record(checkpoint)
    if record is None:
        return True  # of another version of this program
    try:
        return LockFile(lock).pin_of(name).arrays not in (None, record.arrays_sha256)
    except Fault:
        return True  # fetch says what is wrong with it


def outdated(checkpoint: Path, lock: Path, section: dict[str, Any]) -> bool:
    """Whether a card beside a checkpoint says otherwise of its pinned digests than is true by now.

    Held against the cards themselves, since the first fetch writes the lock file while make runs.

    Args:
        checkpoint: the checkpoint, with its record.
        lock: the lock file.
        section: the section `checkpoint` of the member.
    """
    record = provenance.read_record(checkpoint)
    if record is None:
        return False  # nothing was fetched; cards follow
    try:
        pin = LockFile(lock).pin_of(str(section.get("name")))
    except Fault:
        return True  # fetch says what is wrong with it
    said = pin.describe_verification(section.get("sha256"), record.sha256, record.arrays_sha256)
    pages = [checkpoint.with_name(f"{head}.md") for head in Head]
    return any(page.exists() and said not in page.read_text(encoding="utf-8") for page in pages)


def images_text(path: Path, imagenet: str, samples: str, real: str) -> str:
    """Returns the settings that choose a member's evaluation images; "" where it brings none and none are given.

    IMAGENET= is not for a member that says `imagenet: false`.
    """
    section = _dict(_dict(_sections(path)).get("evaluation"))
    folder = "its own" if section.get("images") else imagenet.rstrip("/") if section.get("imagenet", True) else ""
    labels = f", ReaL labels {real}" if real else ""
    return f"{samples or 'all'} of {folder}{labels}" if folder else ""


def collection_texts(members: Sequence[Path]) -> dict[str, str]:
    """Returns the stamp text of each collection: its facts and the names of its members."""
    texts = {}
    for folder in sorted({member.parent for member in members}):
        names = sorted(member.stem for member in members if member.parent == folder)
        texts[folder.name] = " ".join([files_digest([folder / "collection.yaml"]), *names])
    return texts


def write(path: Path, text: str, renew: bool = False) -> None:
    """Writes a stamp where the text differs, or `renew` asks for it."""
    if renew or not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def write_lasting(path: Path, text: str) -> None:
    """Writes a stamp whose empty text means "as before".

    CHECKPOINTS= and IMAGENET= name places that one command knows and the next may not: without them what was fetched
    and measured stays, instead of being fetched from elsewhere or replaced by "not measured".
    """
    if text or not path.exists():
        write(path, text)


def incomplete(receipt: Path) -> bool:
    """Whether something that the receipt speaks of is missing from its hub: a file, its size, the index, a page."""
    if not receipt.exists():
        return False
    record = json.loads(receipt.read_text(encoding="utf-8"))
    hub = Path(record["hub"])
    try:
        index = json.loads((hub / "index.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return True  # publish says what is wrong with it
    for name, entry in record["published"].items():
        publisher = name.split("/")[0]
        pages = ("index.html", f"{name}.html", f"{publisher}/{publisher}.md", f"{publisher}/{publisher}.html")
        if not any(name in part for part in index.values()) or not all((hub / page).exists() for page in pages):
            return True
        for file in entry["files"]:
            path = hub / file["path"]
            if not path.exists() or path.stat().st_size != file["size"]:
                return True
    return False


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.stamps", description="Writes make's stamps.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("members", type=Path, nargs="+")
    parser.add_argument("--receipts", nargs="*", default=[], metavar="NAME=RECEIPT")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--selected", nargs="*", default=[], help="the members that the settings are for")
    parser.add_argument("--checkpoints", default="", help="the setting CHECKPOINTS")
    parser.add_argument("--lock", default="", help="the setting LOCK")
    parser.add_argument("--imagenet", default="", help="the setting IMAGENET")
    parser.add_argument("--real", default="", help="the setting REAL")
    parser.add_argument("--samples", default="", help="the setting SAMPLES")
    args = parser.parse_args(arguments)
    args.folder.mkdir(parents=True, exist_ok=True)
    digests = Digests(args.folder / "digests.json")
    code = StageCode(args.folder / "code.json")
    for stage in STAGES:
        write(args.folder / f"{stage}.code", code.digest(stage))
    code.keep()
    for member in args.members:
        for section, text in member_texts(member).items():
            write(args.folder / f"{member.stem}.{section}", text)
        # What the settings name is for the members asked for; the others stay as they are.
        source = source_text(member, args.checkpoints, digests) if member.stem in args.selected else ""
        images = images_text(member, args.imagenet, args.samples, args.real) if member.stem in args.selected else ""
        write_lasting(args.folder / f"{member.stem}.source", source)
        write_lasting(args.folder / f"{member.stem}.images", images)
        lock = lock_file.locate(member.parent, args.lock)
        checkpoint = args.folder.parent / member.stem / "checkpoint.npz"
        chosen, named = member.stem in args.selected, _dict(_dict(_sections(member)).get("checkpoint"))
        fetched_anew = chosen and superseded(checkpoint, lock, str(named.get("name")))
        write(args.folder / f"{member.stem}.pin", "", renew=fetched_anew)
        write(args.folder / f"{member.stem}.verified", "", renew=chosen and outdated(checkpoint, lock, named))
    for name, text in collection_texts(args.members).items():
        write(args.folder / f"collection-{name}.facts", text)
    kinds = ("*.jinja", "*.json", "*.yaml", "plots/*.jinja")
    templates = [path for kind in kinds for path in (ROOT / "templates").glob(kind)]
    write(args.folder / "templates", files_digest(templates))
    write(args.folder / "site", files_digest((ROOT / "templates/site").iterdir()))
    write(args.folder / "requirements", sha256_of(ROOT / "requirements.lock"))
    for setting in args.set:
        name, _, value = setting.partition("=")
        write(args.folder / name, value)
    for pair in args.receipts:
        name, _, receipt = pair.partition("=")
        write(args.folder / f"{name}.hub", "", renew=incomplete(Path(receipt)))


if __name__ == "__main__":
    raise SystemExit(guarded("stamps", lambda: main(sys.argv[1:])))
