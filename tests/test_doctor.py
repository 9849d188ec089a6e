"""doctor: what the command prints, for people and for programs."""

import json
from pathlib import Path

import pytest

from tests.conftest import ROOT, Stage, assert_refused, make

pytestmark = pytest.mark.slow


def test_the_command_prints_facts_and_faults(models: Path, stage: Stage) -> None:
    done = stage("doctor", models / "plain")
    assert (done.returncode, done.stderr) == (0, "")
    for line in (
        "TensorFlow                2.20 or newer",
        "platforms                 cpu",
        "calling convention        10",
    ):
        assert f"  {line}\n" in done.stdout
    assert (
        "\nfaults:\n  none\nto publish it with this project:\n  tensorflow: it needs TensorFlow 2.20 because"
        in done.stdout
    )
    assert_refused(stage("doctor", models / "plain", "--publish"), "doctor: 4 faults, listed above")
    done = stage("doctor", models / "tensorflow", "--publish")
    assert (done.returncode, done.stderr) == (0, "")
    assert "  TensorFlow                2.14 or newer (older versions were not measured)\n" in done.stdout
    assert "faults:\n  none\n" in done.stdout


def test_a_missing_file_is_refused(tmp_path: Path, stage: Stage) -> None:
    assert_refused(stage("doctor", tmp_path / "nowhere"), f"doctor: {tmp_path}/nowhere: no such file or folder")


def test_json_has_facts_and_faults(models: Path, stage: Stage) -> None:
    done = stage("doctor", models / "plain", "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert found["faults"] == []
    assert {finding["kind"] for finding in found["publication"]} > {"tensorflow", "platforms"}
    assert found["tensorflow"] == "2.20"
    assert found["platforms"] == ["cpu"]
    assert found["computations"][0]["ranges"] is True
    done = stage("doctor", models / "ours", models / "tensorflow", "--json")
    assert done.returncode == 0
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["faults"] == second["faults"] == []
    assert first["signatures"]["serving_default"]["inputs"]["x"] == {"dtype": "float32", "shape": [None, 3]}
    assert first["variables"] == {"count": 2, "bytes": 32, "trainable": 1}
    assert (second["tensorflow"], second["platforms"], second["gradients"]) == ("2.14", None, None)


def test_make_doctor(models: Path, tmp_path: Path) -> None:
    done = make(ROOT, "doctor", f"SAVED_MODEL={models}/ours")
    assert done.returncode == 0, done.stderr
    assert "faults:\n  none" in done.stdout
    done = make(ROOT, "doctor")
    assert done.returncode == 2
    assert "say which SavedModel: make doctor MODEL=<member>" in done.stderr
    done = make(ROOT, "doctor", "MODEL=vit_demo", f"ARTIFACTS={tmp_path}")
    assert done.returncode == 2
    assert (
        f"{tmp_path}/vit_demo does not hold both SavedModels yet; run make convert MODEL=vit_demo first" in done.stderr
    )


def test_a_published_member_has_no_faults(published: Path, stage: Stage) -> None:
    folder = published / "artifacts/rati"
    done = stage("doctor", folder / "classification", folder / "fe", folder / "classification.tar.gz")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("TensorFlow                2.14 or newer") == 3
    assert done.stdout.count("faults:\n  none") == 3
    assert "labels.tsv" not in done.stdout
    made = make(published, "doctor", "MODEL=mini", "COLLECTION=tiny")
    assert made.returncode == 0, made.stderr
    assert made.stdout.count("faults:\n  none") == 2
