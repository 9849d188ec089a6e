"""Tries to run commands by the values, names and files that make is given: `python -m benchmarks.make_attacks`.

Every setting is tried with every value of tests/make_attacks.py, on the command line and in the environment; every
variable of the Makefiles in both; every value as the name of a member, of a collection and of the clone's folder. The
recipes run with a stand-in for the interpreter, so that a command that runs leaves a file. It ends with exit status 1
if there is one, or if a value does not arrive as it was given.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import copy_project, run_make
from tests.make_attacks import VALUES, attack_names, has_run, names_of_make, pass_everywhere, write_recorder


def write_tree(folder: Path) -> Path:
    """Writes the project with a collection `tiny` of one member, `mini`; none of its stages will run."""
    tree = copy_project(folder)
    (tree / "model_cards/tiny").mkdir(parents=True)
    for name in ("collection.yaml", "mini.yaml"):
        (tree / "model_cards/tiny" / name).touch()
    return tree


def attack_settings(tree: Path) -> Iterator[str]:
    """Yields each value that runs a command in some setting, or does not arrive."""
    for value in VALUES:
        for in_environment in (False, True):
            passed = pass_everywhere(tree, value, in_environment)
            text = value if in_environment else value.lstrip()  # make itself drops the space after NAME=
            arrives = {text, "env:CHECKPOINTS"} & set(passed.values)
            if has_run(tree) or not (arrives or "line break" in passed.fault):
                yield f"the value {value!r}: {'a command ran' if has_run(tree) else passed.fault or 'it is lost'}"


def attack_files(tree: Path) -> Iterator[str]:
    """Yields each name of a member, a collection or a clone that runs a command."""
    setting = write_recorder(tree)
    for value in VALUES:
        name = f"a{value.replace('/', '_')}"
        for target in (f"tiny/{name}.yaml", f"{name}/mini.yaml"):
            path = tree / "model_cards" / target
            path.parent.mkdir(exist_ok=True)
            path.touch()
            run_make(tree, "publish-all", "COLLECTION=tiny", setting)
            path.unlink()
            if path.parent.name != "tiny":
                path.parent.rmdir()
        clone = tree.rename(tree.with_name(name))
        run_make(clone, "publish-all", "COLLECTION=tiny", write_recorder(clone))
        clone.rename(tree)
        if has_run(tree):
            yield f"the name {name!r}"


def main() -> int:
    started, names = time.monotonic(), names_of_make()
    with tempfile.TemporaryDirectory() as folder:
        tree = write_tree(Path(folder) / "tree")
        faults = [*attack_settings(tree), *attack_files(tree)]
        shutil.rmtree(tree)
        tree = write_tree(Path(folder) / "tree")
        faults += [f"the variable {name}" for name in attack_names(tree, names)]
    for fault in faults:
        print(f"make_attacks: {fault}", file=sys.stderr)
    seconds = time.monotonic() - started
    print(f"make: {len(VALUES)} values, {len(names)} variables: {len(faults)} attacks succeeded, {seconds:.0f} s")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
