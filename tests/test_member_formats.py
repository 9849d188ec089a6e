"""The stage formats, on the tiny member `mini`: what it makes, measures, leaves out, and does not make again."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.files import sha256_of
from pipeline.base.heads import Head
from pipeline.base.yaml_sections import Member
from pipeline.dag.receipts import lacks_formats
from pipeline.facts.formats import Formats, load_formats
from pipeline.member_formats import Settings, choose_images, read_images
from tests.conftest import ROOT, Stage, assert_refused, once, run_stage
from tests.make_plans import replace

FILES = {"plain.tar.gz", "model.tflite", "onnx/model.onnx", "config.json", "preprocessor_config.json"}


@pytest.fixture(scope="session")
def outputs(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the member `mini`, its outputs and its formats, in the default ones. Tests must not change it."""

    def build(folder: Path) -> None:
        shutil.copytree(published / "model_cards/tiny", folder / "tiny")
        replace(folder / "tiny/collection.yaml", "formats: [xla]\n", "")
        for head in Head:
            shutil.copytree(published / "artifacts/mini" / head, folder / "mini" / head)
        done = run_stage("member_formats", folder / "tiny/mini.yaml", folder / "mini")
        assert done.returncode == 0, done.stderr
        (folder / "log.txt").write_text(done.stderr)

    return once(tmp_path_factory, "member_formats", build)


@pytest.fixture
def copy(outputs: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(outputs, tmp_path / "copy"))


def files_of(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_the_files_lie_as_in_a_hub(outputs: Path) -> None:
    formats = load_formats(outputs / "mini/formats.json")
    for head in Head:
        found = files_of(outputs / "mini/formats" / head)
        extra = {"try.json"}
        assert set(found) == FILES | (extra if head is Head.CLASSIFICATION else set())
        listed = {file.path: file.sha256 for report in formats.modules[head] for file in report.files}
        assert listed == {name: found[name] for name in FILES}
        with tarfile.open(outputs / "mini/formats" / head / "plain.tar.gz") as archive:
            assert archive.getnames()[-1] == "saved_model.pb"


@pytest.mark.slow
def test_every_format_is_measured_on_the_images(outputs: Path) -> None:
    formats = load_formats(outputs / "mini/formats.json")
    for head in Head:
        for report in formats.published(head):
            assert report.max_rel is not None
            assert report.max_rel <= 1e-5
            assert report.on_images is not None
            assert (report.on_images.images, report.on_images.of) == (12, "the test set of colours")
            assert report.on_images.cosine > 1 - 1e-6
            assert report.on_images.same_class == (1.0 if head is Head.CLASSIFICATION else None)
            assert report.on_images.top1 == report.on_images.module_top1
            assert report.speed is not None
            assert report.speed.images_per_second.keys() == {"1", "32"}
            assert min(report.speed.images_per_second.values()) > 0
    plain = formats.modules[Head.CLASSIFICATION][0]
    names = ["parity", "batch sizes", "gradients", "cosine on images", "same class", "top-1 difference"]
    assert [rung.rung for rung in plain.ladder] == names


@pytest.mark.slow
def test_a_default_format_below_its_bar_is_left_out_with_the_reason(outputs: Path) -> None:
    """The file of so small a model is mostly its graph."""
    (report,) = [
        each for each in load_formats(outputs / "mini/formats.json").modules[Head.FE] if each.name == "litert-int8"
    ]
    assert re.fullmatch(
        r"it fails its checks: size 0\.\d+ \(at most 0\.34\)",
        report.left_out,
    )
    assert f"formats mini: fe litert-int8: left out: {report.left_out}\n" in (outputs / "log.txt").read_text()


@pytest.mark.long
def test_a_format_that_was_asked_for_must_keep_its_bar(copy: Path, stage: Stage) -> None:
    before = files_of(copy / "mini")
    done = stage("member_formats", copy / "tiny/mini.yaml", copy / "mini", "--formats", "litert-int8")
    assert_refused(done, "formats/classification/model_int8.tflite: it fails its checks", "size 0.")
    assert files_of(copy / "mini") == before


@pytest.mark.long  # test_a_damaged_file_is_made_again_and_no_other shows it, too
@pytest.mark.slow
def test_what_is_current_is_not_made_again(copy: Path, stage: Stage) -> None:
    before = files_of(copy / "mini")
    done = stage("member_formats", copy / "tiny/mini.yaml", copy / "mini")
    assert done.returncode == 0, done.stderr
    assert not re.search(r"^formats mini: (classification|fe) ", done.stderr, re.MULTILINE)  # nothing was made
    assert files_of(copy / "mini") == before
    # Another choice of the same formats neither.
    done = stage("member_formats", copy / "tiny/mini.yaml", copy / "mini", "--formats", "xla,onnx")
    assert done.returncode == 0, done.stderr
    assert [report.name for report in formats_of(copy).modules[Head.FE]] == ["onnx"]
    assert set(files_of(copy / "mini/formats/fe")) == {"onnx/model.onnx", "config.json", "preprocessor_config.json"}


@pytest.mark.slow
def test_what_try_it_shows_is_listed_and_made_again(copy: Path, stage: Stage) -> None:
    before = files_of(copy / "mini/formats")
    assert not lacks_formats(copy / "mini")
    (copy / "mini/formats/classification/try.json").unlink()
    assert lacks_formats(copy / "mini")
    another = sys.executable  # process, with another seed of hashes
    assert stage("member_formats", copy / "tiny/mini.yaml", copy / "mini", python=another).returncode == 0
    assert files_of(copy / "mini/formats") == before


@pytest.mark.long
def test_what_images_measured_stays_without_images(copy: Path, stage: Stage) -> None:
    before = files_of(copy / "mini")
    replace(copy / "tiny/mini.yaml", "  images: images\n", "  imagenet: true\n")
    assert stage("member_formats", copy / "tiny/mini.yaml", copy / "mini", "--formats", "xla,onnx").returncode == 0
    (report,) = formats_of(copy).modules[Head.FE]
    assert report.on_images is not None
    assert report.on_images.images == 12
    assert files_of(copy / "mini/formats/fe")["onnx/model.onnx"] == before["formats/fe/onnx/model.onnx"]


@pytest.mark.slow
def test_a_damaged_file_is_made_again_and_no_other(copy: Path, stage: Stage) -> None:
    before = files_of(copy / "mini/formats")
    (copy / "mini/formats/fe/onnx/model.onnx").write_bytes(b"damaged")
    done = stage("member_formats", copy / "tiny/mini.yaml", copy / "mini")
    assert done.returncode == 0, done.stderr
    assert files_of(copy / "mini/formats") == before
    made = re.findall(r"^formats mini: (\w+ [\w-]+): [\d.]+", done.stderr, re.MULTILINE)
    assert made == ["fe onnx"]


@pytest.mark.long
def test_a_stage_that_is_killed_leaves_nothing_and_the_next_one_completes_it(
    copy: Path, stage: Stage, tmp_path: Path
) -> None:
    before = files_of(copy / "mini/formats")
    shutil.rmtree(copy / "mini/formats")
    (copy / "mini/formats.json").unlink()
    (temporary := tmp_path / "temporary").mkdir()
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pipeline.member_formats",
        copy / "tiny/mini.yaml",
        copy / "mini",
    ]
    environment = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as process:
        while not any((copy / "mini").glob(".formats.*.part/*/.scratch-*/**/*.npy")):
            assert process.poll() is None
        process.kill()
    assert not (copy / "mini/formats").exists()
    assert not list(temporary.rglob("*.npy"))
    done = stage("member_formats", copy / "tiny/mini.yaml", copy / "mini")
    assert done.returncode == 0, done.stderr
    assert files_of(copy / "mini/formats") == before
    assert not list((copy / "mini").glob(".formats.*"))


def formats_of(folder: Path) -> Formats:
    return load_formats(folder / "mini/formats.json")


# Without TensorFlow ---------------------------------------------------------------------------------------------------
def test_a_member_without_further_formats_has_none(tiny: Path, tmp_path: Path, stage: Stage) -> None:
    done = stage("member_formats", tiny / "mini.yaml", tmp_path / "mini", "--formats", "xla")
    assert done.returncode == 0, done.stderr
    assert "mini: 0 files for other runtimes" in done.stdout + done.stderr
    assert formats_of(tmp_path).modules == {}
    done = stage("member_formats", tiny / "mini.yaml", tmp_path / "mini", "--formats", "onnx")
    assert_refused(done, "mini/classification: no saved_model.pb in it; expected the folder of a module")


def test_images_are_the_first_of_those_that_validate_uses(tiny: Path) -> None:
    member = Member(tiny / "mini.yaml")
    task = choose_images(member, Settings())
    assert task is not None
    images = read_images(member, task)
    assert (images.pixels.shape, images.of) == ((12, 16, 16, 3), "the test set of colours")
    assert images.labels is not None
    assert np.bincount(images.labels).tolist() == [4, 4, 4]
    assert np.abs(images.pixels).max() <= 1
    fewer = choose_images(member, Settings(samples=6))
    assert fewer is not None
    assert [each.name for each in fewer.chosen] == [each.name for each in task.chosen[:6]]


def test_a_damaged_image_is_left_out(tiny: Path) -> None:
    (tiny / "images/red/0.png").write_bytes(b"no image")
    member = Member(tiny / "mini.yaml")
    task = choose_images(member, Settings())
    assert task is not None
    images = read_images(member, task)
    assert images.labels is not None
    assert (len(images.pixels), len(images.labels)) == (11, 11)
