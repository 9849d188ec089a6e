"""stamps: small files that change only when something a target depends on does; make compares their times.

    python -m pipeline.stamps FOLDER MEMBER.yaml... [--receipts NAME=RECEIPT...] [--set NAME=VALUE...]

writes, only where the text differs, FOLDER/<stage>.code, FOLDER/<member>.<section>, FOLDER/collection-<name>.facts,
FOLDER/templates, FOLDER/requirements, FOLDER/<name> for each setting, and FOLDER/<name>.hub for each receipt, which is
renewed when a file that the receipt names is no longer in the hub. Imports nothing but the standard library and YAML,
since every make runs it.
"""

import argparse
import ast
import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline import spec
from pipeline.fault import Fault

ROOT = Path(__file__).parents[1]
STAGES = ("fetch", "convert", "validate", "card", "collection", "package", "publish")


def modules_of(stage: str, root: Path = ROOT) -> list[str]:
    """Returns a stage's module and every module of `pipeline` it imports, directly or not, sorted."""
    seen: set[str] = set()
    waiting = [stage]
    while waiting:
        name = waiting.pop()
        if name in seen or not (root / "pipeline" / f"{name}.py").exists():
            continue
        seen.add(name)
        for node in ast.walk(ast.parse((root / "pipeline" / f"{name}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "pipeline":
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline."):
                waiting.append((node.module or "").split(".")[1])
    return sorted(seen)


def code_digest(stage: str, root: Path = ROOT) -> str:
    """Returns the digest of a stage's code as Python reads it: comments and layout don't count."""
    digest = hashlib.sha256()
    for name in modules_of(stage, root):
        tree = ast.parse((root / "pipeline" / f"{name}.py").read_text(encoding="utf-8"))
        digest.update(f"{name}\n{ast.dump(tree)}\n".encode())
    return digest.hexdigest()


def files_digest(paths: Iterable[Path]) -> str:
    """Returns the digest of files' names and contents."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.name}\n{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def member_texts(path: Path) -> dict[str, str]:
    """Returns the stamp text of each section of a member, files that a section names included.

    The section `module` includes collection.yaml, which the cards are made of too. A file that is not valid gives a
    text that says so; the stage that reads it reports it.
    """
    try:
        found = spec.sections(path)
    except Fault as fault:
        return dict.fromkeys(spec.SECTIONS, str(fault))
    texts = {section: json.dumps(found.get(section), sort_keys=True) for section in spec.SECTIONS}
    if isinstance(found.get("model"), dict) and isinstance(labels := found["model"].get("labels"), str):
        texts["model"] += files_digest(file for file in (path.parent / labels,) if file.is_file())
    texts["module"] += files_digest(file for file in (path.parent / "collection.yaml",) if file.is_file())
    return texts


def collection_texts(members: Sequence[Path]) -> dict[str, str]:
    """Returns the stamp text of each collection: its facts and the names of its members."""
    texts = {}
    for folder in sorted({member.parent for member in members}):
        names = sorted(member.stem for member in members if member.parent == folder)
        facts = files_digest(file for file in (folder / "collection.yaml",) if file.is_file())
        texts[folder.name] = " ".join([facts, *names])
    return texts


def write(path: Path, text: str, renew: bool = False) -> None:
    """Writes a stamp where the text differs, or `renew` asks for it."""
    if renew or not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def incomplete(receipt: Path) -> bool:
    """Whether a file that the receipt names is missing from the hub, or has another size."""
    if not receipt.exists():
        return False
    record = json.loads(receipt.read_text(encoding="utf-8"))
    for entry in record["published"].values():
        for file in entry["files"]:
            path = Path(record["hub"], file["path"])
            if not path.exists() or path.stat().st_size != file["size"]:
                return True
    return False


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.stamps", description="Writes make's stamps.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("members", type=Path, nargs="+")
    parser.add_argument("--receipts", nargs="*", default=[], metavar="NAME=RECEIPT")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    args = parser.parse_args(arguments)
    args.folder.mkdir(parents=True, exist_ok=True)
    for stage in STAGES:
        write(args.folder / f"{stage}.code", code_digest(stage))
    for member in args.members:
        for section, text in member_texts(member).items():
            write(args.folder / f"{member.stem}.{section}", text)
    for name, text in collection_texts(args.members).items():
        write(args.folder / f"collection-{name}.facts", text)
    write(args.folder / "templates", files_digest((ROOT / "templates").glob("*.jinja")))
    write(args.folder / "requirements", files_digest([ROOT / "requirements.lock"]))
    for setting in args.set:
        name, _, value = setting.partition("=")
        write(args.folder / name, value)
    for pair in args.receipts:
        name, _, receipt = pair.partition("=")
        write(args.folder / f"{name}.hub", "", renew=incomplete(Path(receipt)))


if __name__ == "__main__":
    main(sys.argv[1:])
