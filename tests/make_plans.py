"""Which stages make would run, which it ran, and which files it changed, in a tree whose collection is `tiny`."""

import re
from pathlib import Path

from pipeline import stamps
from tests.conftest import make

# As lines of make and people call them: the modules of two commands make formats.
STAGES = tuple(stage.removeprefix("member_") for stage in stamps.STAGES)

ALL = ("publish-all", "COLLECTION=tiny")
# convert and the stages after it; the collection's page apart.
AFTER_CONVERT = {"convert", "validate", "formats", "card", "package", "publish"}
BOOKKEEPING = (".lock", ".clean", "digests.json")
COLLECTION_PAGE = {("collection", "tiny"), ("publish", "tiny")}


def planned(tree: Path, *arguments: str) -> set[tuple[str, str]]:
    """Returns the (stage, member or collection) that `make -n` would run."""
    done = make(tree, "-n", *(arguments or ALL))
    assert done.returncode == 0, done.stderr
    commands = re.findall(r"-m pipeline\.(?:member_)?(\w+) (?:member |collection )?'?([^\s']+)", done.stdout)
    # package takes a SavedModel's folder, the others a YAML file.
    return {
        (stage, Path(path).parent.name if stage == "package" or "collection.yaml" in path else Path(path).stem)
        for stage, path in commands
        if stage in STAGES
    }


def stages_run(output: str) -> set[tuple[str, str]]:
    """Returns the (stage, member or collection) of the lines that make printed, one for each stage."""
    return set(re.findall(rf"^({'|'.join(STAGES)}) (?:collection )?(\S+)", output, re.MULTILINE))


def stages_of(member: str, stages: set[str]) -> set[tuple[str, str]]:
    return {(stage, member) for stage in stages}


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def snapshot(tree: Path) -> dict[Path, int]:
    """Returns the modification time of every file that a stage made."""
    return {
        path: path.stat().st_mtime_ns
        for path in (tree / "artifacts").rglob("*")
        if path.is_file() and path.name not in BOOKKEEPING and ".runs" not in path.parts
    }
