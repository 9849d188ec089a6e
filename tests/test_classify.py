"""classify: parts of a member's images, and the report that validate makes of them."""

import itertools
import json
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from pipeline import classify, validate
from pipeline.accuracy import classify as batches
from pipeline.accuracy.predictions import load_predictions
from pipeline.base.fault import Fault
from pipeline.facts.checks import TrainingChecks
from pipeline.facts.report import load_report
from pipeline.proof import gradients
from tests.conftest import Stage, assert_refused, write_images

pytestmark = pytest.mark.slow


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes 8 shards of 60 images."""
    monkeypatch.setattr(batches, "BATCH", 4)
    monkeypatch.setattr(batches, "SHARD", 2)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    write_images(tmp_path / "images", per_class=20)
    return tmp_path / "images"


def part(published: Path, images: Path, report: Path, text: str) -> list[str]:
    """Returns the arguments that classify a part of `mini`'s images."""
    member, module = published / "model_cards/tiny/mini.yaml", published / "artifacts/mini/classification"
    return [*map(str, (member, module, report, "--part", text, "--images", images))]


def test_a_member_without_images_has_nothing_to_classify(tiny: Path, tmp_path: Path, stage: Stage) -> None:
    member = tiny / "mini.yaml"
    member.write_text(member.read_text().replace("  images: images\n", ""))
    done = stage("classify", member, tmp_path / "none", tmp_path / "report.json", "--part=1/2")
    assert done.returncode == 0, done.stderr
    assert "classify mini: there is nothing to classify: no images (set IMAGENET=<images>)" in done.stderr
    assert "classify mini part 1/2: 0 images" in done.stderr
    done = stage("classify", member, tmp_path / "none", tmp_path / "report.json", "--part=3/2")
    assert_refused(done, "classify: --part=3/2: expected K/N, part K of N parts with K from 1 to N")


def test_no_image_is_classified_with_a_module_that_fails_its_selftest(
    published: Path, images: Path, tmp_path: Path
) -> None:
    shutil.copytree(published / "artifacts/mini/classification", tmp_path / "broken")
    selftest = tmp_path / "broken/assets.extra/selftest.npz"
    with np.load(selftest) as archive:
        arrays = {name: archive[name] for name in archive}
    arrays["outputs"] = arrays["outputs"] + np.float32(0.1)
    np.savez(selftest, allow_pickle=False, **arrays)
    arguments = part(published, images, tmp_path / "report.json", "1/2")
    arguments[1] = str(tmp_path / "broken")
    with pytest.raises(Fault, match=r"broken: the module fails its self-test \(call: relative error .*, limit 1e-05"):
        classify.main(arguments)
    assert not (tmp_path / "report.json.shards").exists()


@pytest.mark.parametrize("order", [(2, 3, 1), pytest.param((8, 1, 7, 2, 6, 3, 5, 4), marks=pytest.mark.long)])
@pytest.mark.usefixtures("small_shards")
def test_parts_in_any_order_classify_alike(order: Sequence[int], published: Path, images: Path, tmp_path: Path) -> None:
    """Their files of predictions are those of one part, byte for byte."""
    contents = []
    for name, parts in (("whole", ["1/1"]), ("parts", [f"{number}/{len(order)}" for number in order])):
        for text in parts:
            classify.main(part(published, images, tmp_path / name / "report.json", text))
        contents.append([path.read_bytes() for path in sorted((tmp_path / name).rglob("*.npz"))])
        assert len(contents[-1]) == 8
    assert contents[0] == contents[1]


def without_rate(report: Path) -> str:
    """Returns a report's text without the images per second, which are measured."""
    content = json.loads(report.read_text())
    assert content["accuracy"]["measured"].pop("images_per_second") > 0
    return json.dumps(content)


@pytest.mark.long
@pytest.mark.usefixtures("small_shards")
def test_validate_writes_the_same_report_of_any_parts(
    published: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all parts, in two orders, of some of them, and of none."""
    training = {
        head: TrainingChecks(module.gradients, module.fine_tuning)
        for head, module in load_report(published / "artifacts/mini/report.json").modules.items()
        if module.gradients and module.fine_tuning
    }
    monkeypatch.setattr(gradients, "start", lambda *_, **__: nullcontext(lambda done: training))
    artifacts = published / "artifacts/mini"
    reports, predictions = [], []
    parts: Sequence[Sequence[str]] = ([], ["1/1"], ["3/3", "1/3", "2/3"], ["5/8", "2/8"])
    for folder, texts in zip(map(str, itertools.count()), parts, strict=False):
        report = tmp_path / folder / "report.json"
        for text in texts:
            classify.main(part(published, images, report, text))
        member, files = published / "model_cards/tiny/mini.yaml", ("checkpoint.npz", "classification", "fe")
        validate.main([*map(str, (member, *(artifacts / file for file in files), report, "--images", images))])
        assert not report.with_name("report.json.shards").exists()
        reports.append(without_rate(report))
        assert load_predictions(report.with_name("predictions.npz")) is not None
        predictions.append(report.with_name("predictions.npz").read_bytes())
    assert len(set(reports)) == len(set(predictions)) == 1
