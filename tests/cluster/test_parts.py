"""PARTS: the images of validate are classified by tasks of their own, before it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.base.run_records import VARIABLE, Outcome, read_record
from tests.cluster.runs import Make, making, write_tree

pytestmark = pytest.mark.slow

CLASSIFY = """
import signal
from pathlib import Path
from pipeline.base.command import command
from pipeline.base.fault import Fault

def main(arguments):
    part, report = arguments[4], Path(arguments[2])
    if part == "2/3" and report.with_name("damaged").exists():
        raise Fault(f"the images of part {part} are damaged; fetch them again")
    if part == "3/3" and report.with_name("damaged").exists():
        signal.pause()  # as if it had hours to go
    report.with_name(part.replace("/", "-")).touch()
    return part

if __name__ == "__main__":
    raise SystemExit(command("classify", main))
"""
VALIDATE = """
from pathlib import Path
from pipeline.base.command import command

def main(arguments):
    print("after", *sorted(path.name for path in Path(arguments[4]).parent.glob("*-3")))
    return "m"

if __name__ == "__main__":
    raise SystemExit(command("validate", main))
"""


@pytest.fixture(scope="module")
def ray_make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    tree = write_tree(tmp_path_factory.mktemp("parts") / "tree")
    (tree / "pipeline/classify.py").write_text(CLASSIFY)
    (tree / "pipeline/validate.py").write_text(VALIDATE)
    with making(tree, "--parts=3") as make:
        yield make


def test_validate_waits_for_all_parts(ray_make: Make, tmp_path: Path) -> None:
    done = ray_make.run("validate", "m.yaml", "checkpoint.npz", "classification", "fe", str(tmp_path / "report.json"))
    assert done.returncode == 0, done.stderr
    assert "after 1-3 2-3 3-3" in done.stdout.splitlines()


def test_a_part_that_fails_is_the_failure_of_validate(
    ray_make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record is that of validate, which the other parts do not write; those that still run are ended."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "runs/validate.json"))
    (tmp_path / "damaged").touch()
    done = ray_make.run("validate", "m.yaml", "checkpoint.npz", "classification", "fe", str(tmp_path / "report.json"))
    assert done.returncode == 1
    assert "after" not in done.stdout
    *others, last = done.stderr.splitlines()
    assert "the images of part 2/3 are damaged; fetch them again" in "\n".join(others)
    assert last.startswith(
        "RUNNER=ray: validate m: a part of its images was not classified, for the reason given above"
    )
    record = read_record(tmp_path / "runs/validate.json")
    assert record
    assert (record.stage, record.outcome, record.sentence) == ("validate", Outcome.FAILED, last)
