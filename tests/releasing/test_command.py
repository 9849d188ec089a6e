"""`python -m pipeline.release`: a plan is shown and written, then carried out; receipts say what was released."""

import json
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.hub.folder import read_index
from pipeline.release import main
from tests.conftest import Stage, assert_refused
from tests.releasing.hubs import correct_card

DEMO = "vit-publisher/vit_demo_fe/1"


def run(what: str, hub: Path, to: Path | str, *more: str) -> str:
    return main([what, str(hub), str(to), f"--artifacts={hub.parent / 'artifacts'}", *more])


def test_a_plan_is_carried_out(hub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to, plan = tmp_path / "target", tmp_path / "plan.json"
    run("plan", hub, to, f"--plan={plan}")
    assert "  new " in capsys.readouterr().out
    assert not to.exists()
    done = run("run", hub, to, f"--plan={plan}")
    assert not capsys.readouterr().out
    assert f" files of {hub} to {to}, receipt in " in done
    receipt = json.loads(Path(done.partition("receipt in ")[2]).read_text())
    assert receipt["target"] == str(to)
    files = {file["path"]: file["sha256"] for file in receipt["files"] if file["path"] != "hub.yaml"}
    assert files == {file.path: file.sha256 for entry in read_index(hub).entries.values() for file in entry.files}


def test_a_release_without_a_plan_makes_and_shows_one(
    hub: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("run", hub, tmp_path / "target")
    assert f"  {DEMO}.tar.gz\n" in capsys.readouterr().out
    assert (tmp_path / "target/index.html").is_file()


def test_a_plan_that_does_not_hold_any_more_is_refused(hub: Path, tmp_path: Path, stage: Stage) -> None:
    to, plan = tmp_path / "target", tmp_path / "plan.json"
    run("plan", hub, to, f"--plan={plan}")
    correct_card(hub, DEMO, "It is small.")
    done = stage("release", "run", hub, to, "--artifacts", tmp_path / "artifacts", "--plan", plan)
    assert_refused(done, f"release: {hub}: it has changed since the plan was made")
    assert not to.exists()


@pytest.mark.parametrize("to", [".", "within", ".."])
def test_a_hub_is_not_released_into_itself(hub: Path, to: str) -> None:
    with pytest.raises(Fault, match="it is the hub itself, or one lies in the other; name a folder apart from"):
        run("run", hub, hub / to)


def test_an_unknown_kind_of_target_is_refused(hub: Path) -> None:
    with pytest.raises(Fault, match=r"ftp://example\.org/hub"):
        run("plan", hub, "ftp://example.org/hub")
