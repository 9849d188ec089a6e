"""check: reports every fault of a member's file, its collection, labels and images at once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.check import Settings, problems
from tests.conftest import ROOT, Stage, assert_refused, write_images


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_good_member_is_left_alone(tiny: Path, stage: Stage) -> None:
    before = {path: path.stat().st_mtime_ns for path in tiny.rglob("*")}
    done = stage("check", tiny / "mini.yaml", "--require-accuracy", "--samples", 12)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {path: path.stat().st_mtime_ns for path in tiny.rglob("*")} == before


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("mini.yaml", "sources: [", "sources: [7, ", "mini.yaml:3: checkpoint.sources[0] must be a string, got 7"),
        ("mini.yaml", "variant: Mini/8", "variant: Mini-8", "mini.yaml:5: model.variant 'Mini-8' is unknown (did you"),
        ("mini.yaml", "image_size: 16", "image_size: 17", "mini.yaml:5: model.image_size 17 does not fit variant"),
        ("mini.yaml", "minimum_top1: 0.0", "minimum_top1: 2.0", "mini.yaml:11: evaluation.minimum_top1 must lie in 0"),
        ("mini.yaml", "version: 1", "version: 0", "mini.yaml:16: module.version must be 1 to 999,999,999, got 0"),
        ("mini.yaml", "labels: labels.tsv", "labels: lables.tsv", "lables.tsv: the label file does not exist; correct"),
        ("mini.yaml", "  labels: labels.tsv\n", "", "images: without labels it is not known which output each"),
        ("mini.yaml", "images: images", "images: nowhere", "nowhere: the image folder does not exist; looked for"),
        ("mini.yaml", "images: images", "images: images\n  examples: 2", "collection.yaml: images_license is missing"),
        ("mini.yaml", "title: mini\n", 'title: mini\n  note: "```"\n', "mini.yaml:19: module.note: the code block th"),
        ("mini.yaml", "module:", "formats: [xla, litret]\nmodule:", "mini.yaml:16: formats: unknown format 'litret' ("),
        ("mini.yaml", "module:", "formats: [litert]\nmodule:", "mini.yaml:16: formats: xla is missing, the module its"),
        ("mini.yaml", "module:", "formats: 7\nmodule:", "mini.yaml:16: formats must be a list, each a string, got 7 ("),
        ("mini.yaml", "module:", "formats: [xla, 7]\nmodule:", "mini.yaml:16: formats[1] must be a string, got 7 ("),
        ("collection.yaml", "license:", "formats: [xla, onix]\nlicense:", "collection.yaml:1: formats: unknown form"),
        ("mini.yaml", "title: mini", "title: ViT-L16", "mini.yaml:18: module.title: 'ViT-L16' names ViT-L16, but the "),
        ("collection.yaml", "apache-2.0", "Apache", "collection.yaml:8: license: 'Apache' is not a license of tfhub.d"),
        ("mini.yaml", "title: mini", 'title: " "', "mini.yaml:16: title must not be empty"),
        ("mini.yaml", "the test set of colours", '""', "mini.yaml:11: evaluation.dataset must not be empty"),
        ("collection.yaml", "summary: never trained", 'summary: ""', "collection.yaml:1: summary must not be empty"),
        ("collection.yaml", "text: The paper", 'text: ""', "collection.yaml:12: text must not be empty"),
        ("labels.tsv", "blue\t", "navy\t", "blue: no class of the model is called 'blue'"),
        ("labels.tsv", "blue\tBlue\n", "", "labels.tsv: expected 3 labels, as model.classes says, got 2"),
        ("collection.yaml", "license:", "licence:", "unknown key 'licence' in collection (did you mean 'license'?)"),
        ("collection.yaml", "http://localhost:8080", "localhost", "hub_url 'localhost': expected an address that"),
    ],
)  # fmt: skip
def test_each_fault_is_reported(tiny: Path, file: str, old: str, new: str, message: str) -> None:
    edit(tiny / file, old, new)
    (found,) = problems(tiny / "mini.yaml", Settings())
    assert message in found
    assert found.startswith(str(tiny))


def test_a_model_of_one_class_is_valid_but_has_no_accuracy(tiny: Path) -> None:
    edit(tiny / "mini.yaml", "classes: 3", "classes: 1")
    edit(tiny / "mini.yaml", "  images: images\n", "  imagenet: false\n")
    (tiny / "labels.tsv").write_text("red\tRed\n")
    assert problems(tiny / "mini.yaml", Settings()) == []
    refused = problems(tiny / "mini.yaml", Settings(require_accuracy=True))
    assert refused[0].endswith(
        "mini.yaml: REQUIRE_ACCURACY requires a measured accuracy, and the model has one class, so that every"
        " prediction is right; publish it without"
    )


def test_a_multi_label_model_is_valid_but_has_no_accuracy(tiny: Path) -> None:
    edit(tiny / "mini.yaml", "  images: images\n", "  multi_label: true\n")
    (refused,) = problems(tiny / "mini.yaml", Settings())
    assert "evaluation.multi_label: several classes an image, whose probabilities a softmax does not give" in refused
    edit(tiny / "collection.yaml", "license:", "activation: sigmoid\nlicense:")
    assert problems(tiny / "mini.yaml", Settings()) == []
    (refused,) = problems(tiny / "mini.yaml", Settings(require_accuracy=True))
    assert refused.endswith(
        "mini.yaml: REQUIRE_ACCURACY requires a measured accuracy, and an image may have several of the classes"
        " (multi-label), and top-1 accuracy counts one; publish it without"
    )
    edit(tiny / "mini.yaml", "  multi_label: true\n", "  multi_label: true\n  images: images\n")
    (refused,) = problems(tiny / "mini.yaml", Settings())
    assert "evaluation.images is for one class an image, got multi_label: true as well" in refused


def test_faults_are_reported_together(tiny: Path, stage: Stage) -> None:
    edit(tiny / "mini.yaml", "minimum_top1: 0.0", "minimum_top1: 2.0")
    edit(tiny / "mini.yaml", "version: 1", "version: 0")
    edit(tiny / "collection.yaml", "name: tiny", "name: huge")
    done = stage("check", tiny / "mini.yaml")
    assert_refused(
        done, "evaluation.minimum_top1 must lie", "module.version must be 1", "name must be that of its folder"
    )
    assert done.stderr.startswith(f"check: {tiny}/mini.yaml:11: ")


def test_a_fault_of_the_whole_file_is_reported_once(tiny: Path) -> None:
    edit(tiny / "mini.yaml", "module:", "modul:")
    (found,) = problems(tiny / "mini.yaml", Settings())
    assert found.startswith(f"{tiny}/mini.yaml:16: unknown section 'modul' (did you mean 'module'?): expected")


def test_a_name_that_no_handle_can_have_is_reported(tiny: Path) -> None:
    (tiny / "mini.yaml").rename(tiny / "_mini.yaml")
    (found,) = problems(tiny / "_mini.yaml", Settings())
    assert found == "_mini: cannot be part of a handle, expected a letter or digit, then also '_', '.' and '-'"


def test_settings_that_a_later_stage_would_refuse_are_reported(tiny: Path, tmp_path: Path) -> None:
    member = tiny / "mini.yaml"
    for settings, message in (
        (Settings(samples=13), "SAMPLES=13: expected 1 to 12"),
        (Settings(hub_url="localhost"), "HUB_URL=localhost: expected an address that begins with http:// or https://"),
    ):
        (found,) = problems(member, settings)
        assert message in found
    edit(member, "  images: images\n", "")
    assert problems(member, Settings()) == []
    (found,) = problems(member, Settings(require_accuracy=True))
    assert (
        found
        == f"{member}: REQUIRE_ACCURACY requires a measured accuracy, and there are no images; set IMAGENET=<images>"
    )
    write_images(tmp_path / "val", per_class=1)
    assert problems(member, Settings(imagenet=tmp_path / "val", require_accuracy=True)) == []
    (tmp_path / "real.json").write_text(json.dumps([[0]] * 50_000))
    (found,) = problems(member, Settings(imagenet=tmp_path / "val", real=tmp_path / "real.json"))
    assert "ReaL labels are for the 1000 classes of ImageNet-1k, the model has 3" in found
    edit(member, "  minimum_top1", "  imagenet: false\n  minimum_top1")
    (found,) = problems(member, Settings(imagenet=tmp_path / "val", require_accuracy=True))
    assert found.endswith("there are no images; name a folder in evaluation.images")


@pytest.mark.parametrize(
    ("module", "slow"),
    [
        ("check", {"jax", "flax", "tensorflow"}),
        ("stamps", {"jax", "flax", "tensorflow", "numpy", "PIL", "requests", "tqdm", "jinja2", "urllib.request"}),
    ],
)
def test_it_starts_without_slow_imports(module: str, slow: set[str]) -> None:
    code = f"import sys, pipeline.{module}; print(*{slow} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "\n"
