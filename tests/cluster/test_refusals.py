"""What RUNNER=ray refuses, in one sentence each: settings, a cluster that nobody can join, no Ray, another system."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.cluster import simulate
from pipeline.base import siblings
from pipeline.base.fault import Fault
from pipeline.base.siblings import is_sibling
from pipeline.cluster.folders import RUNNING, mark_shared, running, sweep_folders
from pipeline.cluster.frames import PREFIX, STARTING
from pipeline.cluster.needs import Needs, needs_of, why_never
from pipeline.cluster.parts import part_commands
from pipeline.cluster.session import Session
from pipeline.cluster.task import StageTask, run_stage
from pipeline.hub.folder import Lock
from tests.cluster.runs import making, short_temporary, write_tree
from tests.conftest import ROOT, make


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("refusals") / "tree")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["RUNNER=slurm"], "RUNNER=slurm: expected local or ray"),
        (["RUNNER=ray local"], "RUNNER=ray local: expected local or ray"),
        (["PARTS=3"], "PARTS=3: needs RUNNER=ray, which classifies the images of a member in so many tasks"),
        (["RUNNER=ray", "PARTS=two"], "PARTS=two: expected a whole number from 1"),
        (["RUNNER=ray", "PARTS=0"], "PARTS=0: expected a whole number from 1"),
    ],
)
def test_settings(fresh: Path, settings: list[str], message: str) -> None:
    done = make(fresh, "fetch", "MODEL=mini", *settings)
    assert done.returncode == 2
    assert f"*** {message}.  Stop." in done.stderr


def test_the_settings_reach_the_runner(fresh: Path) -> None:
    done = make(fresh, "-n", "validate", "MODEL=mini", "RUNNER=ray", "PARTS=12", "RAY_ADDRESS=10.0.0.5:6379")
    (line,) = [line for line in done.stdout.splitlines() if " validate model_cards" in line]
    assert re.search(
        r" -S -m pipeline\.cluster\.client \d+ --address=env:RAY_ADDRESS --parts=12 --shared 'artifacts'  -- validate ",
        line,
    )


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:9", "nothing answers there; start the head node with ray start --head, or correct the address;"),
        ("ray://127.0.0.1:10001", "expected host:port of the cluster's head node, such as 10.0.0.5:6379"),
        ("head", "expected host:port of the cluster's head node, such as 10.0.0.5:6379"),
        ("head:0", "expected host:port of the cluster's head node, such as 10.0.0.5:6379"),
    ],
)
def test_an_address_that_is_no_cluster(tree: Path, address: str, message: str) -> None:
    """The first recipe has the sentence, and the others the status alone."""
    with making(tree, "--address=env:RAY_ADDRESS", RAY_ADDRESS=address) as run:
        first, second = run.run("trial", "status", "0"), run.run("trial", "status", "0")
    assert first.returncode == second.returncode == 1
    assert first.stderr.startswith(f"RUNNER=ray: RAY_ADDRESS={address}: {message}")
    assert len(first.stderr.splitlines()) == 1
    assert second.stderr == ""


def test_without_ray_the_line_that_installs_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Fault, match=r'^Ray is not installed: pip install "\.\[ray\]"; or use RUNNER=local$'):
        Session("", tmp_path)


def test_without_make_there_is_no_runner() -> None:
    line = [sys.executable, "-S", "-m", "pipeline.cluster.client", "999999999", "--", "trial"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    sentence = "RUNNER=ray: there is no make of the process number 999999999 on this machine; run make RUNNER=ray\n"
    assert (done.returncode, done.stderr) == (1, sentence)


# What a task needs ----------------------------------------------------------------------------------------------------
def test_memory_grows_with_the_checkpoint(tmp_path: Path) -> None:
    with (tmp_path / "checkpoint.npz").open("wb") as checkpoint:
        checkpoint.truncate(1_000_000_000)
    assert needs_of("convert", ["m.yaml", "checkpoint.npz", "."], tmp_path) == Needs(1.0, 4_000_000_000, True)
    assert needs_of("validate", ["m.yaml", "checkpoint.npz"], tmp_path).memory == 8_000_000_000
    assert needs_of("member_formats", ["m.yaml", str(tmp_path)], tmp_path).memory == 10_000_000_000
    assert needs_of("card", ["m.yaml", "report.json", "."], tmp_path) == Needs(0.25, 400_000_000, False)


@pytest.mark.parametrize(
    ("model", "more"),
    [
        ("{variant: S/16, image_size: 224}", 0),
        ("{variant: S/32, image_size: 224}", 0),
        ("{variant: B/8, image_size: 224}", 588),
        ("{variant: R+Ti/16, image_size: 384}", 380),
        ("{variant: of/my/own, image_size: 2000}", 0),
        ("{variant: B/0, image_size: 2000}", 0),
        ("{variant: B/8, image_size: large}", 0),
        ("B/8", 0),
        ("{", 0),
    ],
)
def test_memory_grows_with_the_patches(tmp_path: Path, model: str, more: int) -> None:
    (tmp_path / "m.yaml").write_text(f"model: {model}\n")
    assert needs_of("validate", ["m.yaml", "checkpoint.npz"], tmp_path).memory == 2_000_000_000 + more * 4_000_000
    assert needs_of("convert", ["m.yaml", "checkpoint.npz"], tmp_path).memory == 1_500_000_000


def test_a_task_that_no_node_can_hold_is_refused_and_others_are_not() -> None:
    needs = Needs(1.0, 9_000_000_000, True)
    assert why_never("validate vit_l16", needs, [4_000_000_000, 8_500_000_000]) == (
        "validate vit_l16 needs 9,000.0 MB of memory, and the largest node offers 8,500.0 MB: add a larger node, start"
        " Ray there with a larger --memory, or use RUNNER=local on a machine with more"
    )
    assert why_never("validate vit_l16", needs, [4_000_000_000, 9_000_000_000]) == ""


def test_the_images_of_validate_are_classified_in_parts() -> None:
    validate = ["m.yaml", "checkpoint.npz", "classification", "fe", "report.json", "--samples=100", "--split=test"]
    assert part_commands(validate, 1) == []
    assert part_commands(validate, 2) == [
        ("m.yaml", "classification", "report.json", "--part", f"{part}/2", "--samples=100", "--split=test")
        for part in (1, 2)
    ]


# Folders that all nodes share ----------------------------------------------------------------------------------------
PYTHON = Path(sys.executable)


def refuse(
    tree: Path, shared: tuple[tuple[str, str], ...], python: Path = PYTHON, *options: str, **variables: str
) -> str:
    task = StageTask(
        "trial", ("status", "0", *options), str(tree), variables, together=False, python=str(python), run="x",
        is_heavy=False, shared=shared,
    )  # fmt: skip
    with pytest.raises(Fault) as fault:
        next(run_stage(task, "10.0.0.7"))
    return str(fault.value)


def test_a_node_without_the_project_is_named(tmp_path: Path) -> None:
    assert refuse(tmp_path / "project", ()) == (
        f"the node 10.0.0.7 has no {tmp_path}/project, or may not read it: the project, its environment and the files"
        " and folders that settings of make name must be on a folder that all nodes share, at the same path"
        " (docs/scaling.md)"
    )
    assert refuse(tmp_path, (), Path("/missing/python")).startswith("the node 10.0.0.7 has no /missing/python, or ")


def test_a_node_without_the_python_that_the_environment_was_made_from_is_named(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to("/missing/bin/python3.11")
    assert refuse(tmp_path, (), tmp_path / "python") == (
        f"the node 10.0.0.7 has no /missing/bin/python3.11, which {tmp_path}/python is a link to: it must be on all"
        " nodes, at the same path (docs/scaling.md)"
    )


def test_a_node_without_an_input_is_named(tmp_path: Path) -> None:
    """Of what the command itself names: addresses are no inputs, nor is what other stages read."""
    (tmp_path / "images").mkdir()
    options = ["--imagenet=images", "--checkpoints=gs://bucket", "--sign=/of/another/machine", "--real=env:REAL"]
    reason = refuse(tmp_path, (), PYTHON, *options, REAL="/data:1/real.json")
    assert reason.startswith("the node 10.0.0.7 has no /data:1/real.json, or may not read it: the project, ")


def test_a_node_with_another_folder_of_that_name_is_named(tmp_path: Path) -> None:
    with mark_shared([tmp_path, tmp_path / "hub"], "this make") as files:
        ((path, content),) = files
        assert (Path(path).parent, content) == (tmp_path, "this make")
        assert is_sibling(Path(path).name)
        assert refuse(tmp_path, ((path, "another make"),)).startswith(
            f"the node 10.0.0.7 does not see the folder {tmp_path} of the machine that runs make: ARTIFACTS and HUB"
        )
    assert list(tmp_path.iterdir()) == []
    assert refuse(tmp_path, files).startswith("the node 10.0.0.7 does not see the folder ")


def test_folders_of_killed_runners_are_removed_and_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    with short_temporary() as folder:
        monkeypatch.setenv("TMPDIR", str(folder))
        for name in ("left", "used", "other"):
            (folder / f"{PREFIX}{name}").mkdir()
        for file in (STARTING, RUNNING):
            (folder / f"{PREFIX}left" / file).touch()
            (folder / f"{PREFIX}used" / file).touch()
        with running(folder / f"{PREFIX}used"):
            sweep_folders()
            assert {path.name for path in folder.iterdir()} == {f"{PREFIX}used", f"{PREFIX}other"}
        (folder / f"{PREFIX}other").rmdir()


# What 1,000 workers would take ---------------------------------------------------------------------------------------
def test_the_simulation_is_right_where_it_can_be_computed_by_hand() -> None:
    times = {
        "fetch": 1.0,
        "convert": 4.0,
        "validate": 10.0,
        "package": 3.0,
        "formats": 1.0,
        "card": 1.0,
        "publish": 2.0,
    }
    assert simulate(times, 1, 1) == 22
    assert simulate(times, 1, 2) == 19  # package meanwhile
    assert simulate(times, 10, 1) == 220
    assert simulate(times, 10, 20) == 37  # one publication at a time


def test_the_marker_of_a_hub_costs_no_publication_a_look_into_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another host, which cannot tell that it is held, leaves it where it is."""
    lock = Lock(tmp_path)
    with mark_shared([tmp_path], "this make") as ((marker, _),):
        lock.sweep()
    assert lock.is_clean
    theirs = [Path(marker.replace(siblings.host(), "another")), tmp_path / ".card.md.another.12.part"]
    for path in theirs:
        path.touch()
    monkeypatch.setattr(siblings, "QUIET", -1)
    monkeypatch.setattr(siblings, "REUSED", -1)
    assert Lock(tmp_path).sweep() == 1
    assert [path.exists() for path in theirs] == [True, False]


def test_a_shared_folder_that_cannot_be_written_is_one_sentence(tree: Path) -> None:
    with making(tree, "--shared", "/proc") as stand_in:
        done = stand_in.run("trial", "lines", "1")
    assert re.fullmatch(r"RUNNER=ray: /proc/\.shared-by-nodes\.\S+: No such file or directory\n", done.stderr)
    assert (done.returncode, done.stdout) == (1, "")
