"""A model of another image size than its checkpoint, with mean pooling and pre_logits, is published and made again."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.random_checkpoints import random_arrays
from pipeline.base.heads import Head
from pipeline.facts.report import load_report
from pipeline.model.section import Model
from tests.conftest import ROOT, copy_project, make, write_members

pytestmark = [pytest.mark.slow, pytest.mark.long]
SECTION = "  options: {pooling: gap, pre_logits: 24}\n"


def test_a_resized_model_is_published_and_made_again(tmp_path: Path) -> None:
    tree = copy_project(tmp_path / "tree")
    folder = tree / "model_cards/tiny"
    write_members(folder, {"mini": ("Mini/8", 40)})
    path = folder / "mini.yaml"
    text = path.read_text().replace("  classes: 3\n", f"  classes: 3\n{SECTION}")
    path.write_text(
        text.replace("  minimum_top1: 0.0\n", "  minimum_top1: 0.0\n  reported: {top1: 0.8046, source: me}\n")
    )
    stored = Model("Mini/8", 24, 3, options={"pooling": "gap", "pre_logits": 24})
    np.savez(folder / "mini.npz", allow_pickle=False, **random_arrays(stored))
    done = make(tree, "publish", "MODEL=mini", "COLLECTION=tiny", "FORMATS=xla")
    assert done.returncode == 0, done.stdout + done.stderr
    line = "convert mini: position embedding resized from 3x3 to 5x5: the checkpoint is for 24 pixels, the model for 40"
    assert line in done.stderr.splitlines()
    report = load_report(tree / "artifacts/mini/report.json")
    assert report.model.checkpoint_image_size == 24
    assert [report.modules[head].weights.resized_from for head in Head] == [24, 24]
    assert [report.modules[head].output_width for head in (Head.FE, Head.CLASSIFICATION)] == [24, 3]
    (rung,) = (rung for rung in report.ladder if rung.rung == "reported")
    assert rung.verdict == "not measured"
    assert rung.reason.endswith("it is about the checkpoint at 24x24 pixels, the model takes 40x40")
    provenance = json.loads((tree / "artifacts/mini/fe/assets.extra/provenance.json").read_text())
    assert provenance["checkpoint"]["image_size"] == 24
    assert (provenance["model"]["options.pooling"], provenance["model"]["options.pre_logits"]) == ("gap", 24)
    for page in (tree / "artifacts/hub/tester").rglob("1.md"):
        assert "reported | does not apply" in page.read_text()
        assert "80.46" not in page.read_text()
    reproduce(tree, tmp_path)


def reproduce(tree: Path, cache: Path) -> None:
    """Makes the classifier again; expects the same bytes."""
    options = [f"--hub={tree / 'artifacts/hub'}", f"--checkpoints={tree / 'model_cards/tiny'}", f"--cache={cache}"]
    command = [sys.executable, "-m", "pipeline.reproduce", "tester/mini_classification/1", *options, "--offline"]
    done = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"] == "same bytes"
