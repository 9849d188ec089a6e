"""contact_sheet: which predictions are shown, in which order, in a file that needs no other."""

import base64
import io
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.accuracy.predictions import NOTHING, Predictions, of_logits
from pipeline.accuracy.result_files import ResultFiles
from pipeline.base.fault import Fault
from pipeline.contact_sheet import LIMIT, contact_sheet, find_latest, render_member, thumbnail, wrong_rows
from pipeline.facts.report import Report, load_report
from pipeline.images import image_set
from pipeline.images.image_set import Example
from pipeline.images.labels import Label
from pipeline.images.split import Split
from tests.conftest import CLASSES, write_images
from tests.reports import with_measured, write_report

NAMES = [Label(f"k{number}", f"thing <{number}>") for number in range(6)]


def of(predicted: list[int], confidence: list[float]) -> Predictions:
    """Returns predictions of images that all show class 0."""
    best = np.array(predicted, np.int32)
    top5 = np.stack([np.where(best == NOTHING, NOTHING, (best + place) % 6) for place in range(5)], axis=1).astype(
        np.int32
    )
    return Predictions(np.zeros(len(best), np.int32), top5, np.array(confidence, np.float32), best)


class Images:
    """Pictures of one colour each; `read` lists those that were read."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def __call__(self, row: int) -> tuple[str, np.ndarray]:
        self.read.append(row)
        return f"k0/<{row}>.JPEG", np.full((300, 500, 3), row % 256, np.uint8)


def test_confident_mistakes_come_first_and_broken_outputs_last() -> None:
    assert wrong_rows(of([1, 0, 2, NOTHING, 3], [0.2, 0.99, 0.9, 0.0, 0.0])) == [2, 0, 4, 3]


def test_the_page_shows_true_and_predicted_classes() -> None:
    page = contact_sheet("Mistakes of <a>", of([1, 0], [0.25, 0.9]), NAMES, Images())
    assert "<h1>Mistakes of &lt;a&gt;</h1>" in page
    assert "<p>1 of 2 images are classified wrong. All of them are shown, most confident first.</p>" in page
    assert "<dt>true</dt><dd>thing &lt;0&gt;</dd>" in page
    assert re.search(r'<span class="wrong">thing &lt;1&gt;</span>, <span class="figure">25\.00 %</span>', page)
    assert "<summary>top 5</summary>" in page
    assert re.findall(r"<li( class=\"right\")?>thing &lt;(\d)&gt;</li>", page) == [("", str(n)) for n in range(1, 6)]
    assert '<div class="name">k0/&lt;0&gt;.JPEG</div>' in page


def test_the_true_class_stands_out_among_the_top_5() -> None:
    page = contact_sheet("t", of([4], [0.5]), NAMES, Images())
    assert '<li class="right">thing &lt;0&gt;</li>' in page


def test_outputs_without_names_are_numbers() -> None:
    assert '<span class="wrong">output 3</span>' in contact_sheet("t", of([3], [0.5]), (), Images())


def test_broken_outputs_are_named() -> None:
    page = contact_sheet("t", of([NOTHING], [0.0]), NAMES, Images())
    assert '<span class="wrong">nothing, its outputs are not numbers</span></dd>' in page
    assert "<details>" not in page


def test_a_long_page_is_cut_and_says_so() -> None:
    images = Images()
    page = contact_sheet("t", of([1] * 1234, list(np.linspace(0, 1, 1234))), NAMES, images)
    assert "1,234 of 1,234 images are classified wrong. 200 of 1,234 are shown, most confident first." in page
    assert page.count("<img ") == LIMIT
    assert images.read == list(range(1233, 1233 - LIMIT, -1))  # no other picture is read
    assert len(page) < 2_000_000


def test_a_page_without_mistakes_says_so() -> None:
    assert "<p>All 2 predictions are right.</p>" in contact_sheet("t", of([0, 0], [0.5, 0.5]), NAMES, Images())


def test_the_page_needs_no_other_file() -> None:
    page = contact_sheet("t", of([1], [0.5]), NAMES, Images())
    assert not re.search(r"(src|href)=\"(?!data:)|@import|url\(", page)


@pytest.mark.parametrize(("shape", "size"), [((300, 500), (160, 96)), ((28, 28), (28, 28)), ((1, 2000), (160, 1))])
def test_thumbnails_are_small_pictures(shape: tuple[int, int], size: tuple[int, int]) -> None:
    uri = thumbnail(np.full((*shape, 3), (200, 30, 30), np.uint8))
    kind, _, content = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        assert (image.size, image.mode) == (size, "RGB")
        assert np.abs(np.asarray(image, int) - (200, 30, 30)).max() <= 3


@pytest.fixture
def names() -> list[Label]:
    return [Label(name, name.title()) for name in CLASSES]


@dataclass(frozen=True)
class Run:
    """A run of validate on five images of a folder, the first of which is damaged; all predictions are wrong."""

    files: ResultFiles
    images: Path
    chosen: tuple[Example, ...]
    labels: np.ndarray
    logits: np.ndarray


@pytest.fixture
def run(tmp_path: Path, names: list[Label], report: Report) -> Run:
    write_images(tmp_path / "images", per_class=2)
    chosen = image_set.choose(image_set.open_images(tmp_path / "images", names), 5)
    labels = np.array([example.label for example in chosen[1:]], np.int32)
    logits = np.eye(3, dtype=np.float32)[(labels + 1) % 3]
    files = ResultFiles(tmp_path / "report.json")
    of_logits(logits, labels, range(3), "softmax").save(files.predictions)
    manifest = image_set.manifest_digest(chosen)
    report = with_measured(report, images=4, damaged={chosen[0].name: "damaged"}, manifest_sha256=manifest)
    write_report(files.report, report)
    return Run(files, tmp_path / "images", chosen, labels, logits)


def test_the_page_of_a_member_shows_the_images_of_its_run(run: Run, names: list[Label]) -> None:
    page = render_member("mini", run.files, run.images, names)
    assert "<h1>mini: wrong predictions</h1>" in page
    assert "4 of 4 images are classified wrong" in page
    for example in run.chosen[1:]:
        assert example.name in page
    assert run.chosen[0].name not in page


def test_the_page_shows_the_split_of_the_run(run: Run, names: list[Label]) -> None:
    """The report says that it was measured on training images, whose file names need not be UTF-8."""
    home = run.images.with_name("home")
    shutil.copytree(run.images, home / "val")
    run.images.rename(home / "train")
    first = home / "train" / run.chosen[1].name
    first.rename(first.with_name(os.fsdecode(b"caf\xe9.png")))
    chosen = image_set.choose(image_set.open_images(home, names, split=Split.TRAIN), None)
    labels = np.array([example.label for example in chosen], np.int32)
    of_logits(np.eye(3, dtype=np.float32)[(labels + 1) % 3], labels, range(3), "softmax").save(run.files.predictions)
    report = load_report(run.files.report)
    manifest = image_set.manifest_digest(chosen)
    write_report(run.files.report, with_measured(report, images=6, damaged={}, manifest_sha256=manifest, split="train"))
    page = render_member("mini", run.files, home, names)
    assert "6 of 6 images are classified wrong" in page
    assert r"caf\udce9.png" in page


def test_a_failed_run_is_shown_if_it_classified_images(run: Run, names: list[Label]) -> None:
    failed = run.files.failed
    assert find_latest(run.files) == run.files
    failed.report.write_text(run.files.report.read_text())
    assert find_latest(run.files) == run.files
    of_logits(run.logits[::-1], run.labels, range(3), "softmax").save(failed.predictions)
    assert find_latest(run.files) == failed
    page = render_member("mini", failed, run.images, names)
    assert "<h1>mini: wrong predictions of the run that failed</h1>" in page
    right = int((run.labels == (run.labels[::-1] + 1) % 3).sum())
    assert f"{4 - right} of 4 images are classified wrong" in page


def test_files_of_another_run_are_refused(run: Run, names: list[Label]) -> None:
    of_logits(run.logits[:3], run.labels[:3], range(3), "softmax").save(run.files.predictions)
    with pytest.raises(Fault, match=r"predictions\.npz: not of the same run as .*report\.json"):
        render_member("mini", run.files, run.images, names)
    (run.images / run.chosen[2].name).rename(run.images / "red/another.png")
    with pytest.raises(Fault, match=r"not the images of .*report\.json"):
        render_member("mini", run.files, run.images, names)
    run.files.predictions.unlink()
    with pytest.raises(Fault, match=r"no accuracy was measured, or predictions\.npz is missing"):
        render_member("mini", run.files, run.images, names)
