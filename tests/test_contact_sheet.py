"""The page of wrong predictions: which, in which order, and a file that needs no other."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.accuracy.predictions import NOTHING, Predictions, of_logits
from pipeline.base.fault import Fault
from pipeline.contact_sheet import LIMIT, contact_sheet, latest, page, thumbnail, wrong
from pipeline.images import image_set
from pipeline.images.labels import Label
from tests.conftest import CLASSES, ROOT, write_images

NAMES = [Label(f"k{number}", f"thing <{number}>") for number in range(6)]


def of(predicted: list[int], confidence: list[float]) -> Predictions:
    """Returns predictions of images that all show class 0."""
    best = np.array(predicted, np.int32)
    top5 = np.stack([np.where(best == NOTHING, NOTHING, (best + place) % 6) for place in range(5)], axis=1).astype(
        np.int32
    )
    return Predictions(np.zeros(len(best), np.int32), top5, np.array(confidence, np.float32), best)


class Images:
    """Pictures of one colour each; remembers which were asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, row: int) -> tuple[str, np.ndarray]:
        self.asked.append(row)
        return f"k0/<{row}>.JPEG", np.full((300, 500, 3), row % 256, np.uint8)


def test_the_surest_mistakes_come_first_and_broken_outputs_last() -> None:
    assert wrong(of([1, 0, 2, NOTHING, 3], [0.2, 0.99, 0.9, 0.0, 0.0])) == [2, 0, 4, 3]


def test_the_page_says_what_is_true_and_what_was_predicted() -> None:
    page = contact_sheet("Mistakes of <a>", of([1, 0], [0.25, 0.9]), NAMES, Images())
    assert "<h1>Mistakes of &lt;a&gt;</h1>" in page
    assert "<p>1 of 2 images are classified wrong. Here are all of them, the surest first; below each, " in page
    assert "<dt>true</dt><dd>thing &lt;0&gt;</dd>" in page
    assert re.search(r'<span class="wrong">thing &lt;1&gt;</span>, <span class="figure">25\.00 %</span>', page)
    assert "<summary>its first five</summary>" in page
    assert re.findall(r"<li( class=\"right\")?>thing &lt;(\d)&gt;</li>", page) == [("", str(n)) for n in range(1, 6)]
    assert '<div class="name">k0/&lt;0&gt;.JPEG</div>' in page


def test_the_true_class_stands_out_among_the_first_five() -> None:
    page = contact_sheet("t", of([4], [0.5]), NAMES, Images())
    assert '<li class="right">thing &lt;0&gt;</li>' in page


def test_outputs_without_names_are_numbers() -> None:
    assert '<span class="wrong">output 3</span>' in contact_sheet("t", of([3], [0.5]), (), Images())


def test_broken_outputs_are_said() -> None:
    page = contact_sheet("t", of([NOTHING], [0.0]), NAMES, Images())
    assert '<span class="wrong">nothing, its outputs are not numbers</span></dd>' in page
    assert "<details>" not in page


def test_a_long_page_is_cut_and_says_so() -> None:
    images = Images()
    page = contact_sheet("t", of([1] * 1234, list(np.linspace(0, 1, 1234))), NAMES, images)
    assert "1,234 of 1,234 images are classified wrong. Here are 200 of 1,234, the surest first;" in page
    assert page.count("<img ") == LIMIT
    assert images.asked == list(range(1233, 1233 - LIMIT, -1))  # no other picture is read
    assert len(page) < 2_000_000


def test_a_page_without_mistakes_says_so() -> None:
    assert "<p>All 2 images are right.</p>" in contact_sheet("t", of([0, 0], [0.5, 0.5]), NAMES, Images())


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


def test_the_page_of_a_member_shows_the_images_it_was_validated_with(tmp_path: Path) -> None:
    write_images(tmp_path / "images", per_class=2)
    names = [Label(name, name.title()) for name in CLASSES]
    found = image_set.open_images(tmp_path / "images", names)
    chosen = image_set.choose(found, 5)
    labels = np.array([example.label for example in chosen[1:]], np.int32)  # the first could not be read
    logits = np.eye(3, dtype=np.float32)[(labels + 1) % 3]
    of_logits(logits, labels, range(3), "softmax").save(tmp_path / "predictions.npz")
    accuracy = {
        "top1": 0.0,
        "images": 4,
        "damaged": {chosen[0].name: "damaged"},
        "manifest_sha256": image_set.manifest_digest(chosen),
    }
    report = tmp_path / "report.json"
    whole = json.loads((ROOT / "tests/data/report.json").read_text())
    report.write_text(json.dumps(whole | {"accuracy": accuracy}))
    text = page("mini", report, tmp_path / "images", names)
    assert "4 of 4 images are classified wrong" in text
    for example in chosen[1:]:
        assert example.name in text
    assert chosen[0].name not in text
    assert "<h1>mini: wrong predictions</h1>" in text
    assert latest(report) == report
    # A run that failed since is the one to look at, if it came to the images.
    failed = tmp_path / "report.json.failed"
    failed.write_text(report.read_text())
    assert latest(report) == report
    of_logits(logits[::-1], labels, range(3), "softmax").save(tmp_path / "predictions.npz.failed")
    assert latest(report) == failed
    text = page("mini", failed, tmp_path / "images", names)
    assert "<h1>mini: wrong predictions of the run that failed</h1>" in text
    right = int((labels == (labels[::-1] + 1) % 3).sum())
    assert f"{4 - right} of 4 images are classified wrong" in text
    of_logits(logits[:3], labels[:3], range(3), "softmax").save(tmp_path / "predictions.npz")
    with pytest.raises(Fault, match=r"predictions\.npz: not of the run that .*report\.json is about"):
        page("mini", report, tmp_path / "images", names)
    (tmp_path / "images" / chosen[2].name).rename(tmp_path / "images/red/another.png")
    with pytest.raises(Fault, match=r"not the images that .* is about"):
        page("mini", report, tmp_path / "images", names)
    (tmp_path / "predictions.npz").unlink()
    with pytest.raises(Fault, match=r"no accuracy was measured, or predictions\.npz is missing"):
        page("mini", report, tmp_path / "images", names)
