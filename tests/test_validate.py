"""validate: each gate, with the input that must fail it."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import validate
from pipeline.accuracy.predictions import load_predictions
from pipeline.accuracy.section import Evaluation
from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.verdict import Verdict
from pipeline.facts.checks import TrainingChecks
from pipeline.facts.report import load_report
from pipeline.model.section import Model
from pipeline.proof import gradients
from pipeline.saved_model.graph import find_xla_calls, saved_model_class
from tests.conftest import Stage, assert_refused, write_collection
from tests.reports import with_accuracy, with_measured, write_report

pytestmark = pytest.mark.slow

EARLIER = (Path(__file__).parent / "data/report.json").read_text()


@pytest.fixture
def arguments(published: Path, tmp_path: Path) -> list[Path]:
    """validate's arguments for the published `mini`, with an earlier report in place."""
    artifacts = published / "artifacts/mini"
    (tmp_path / "report.json").write_text(EARLIER)
    shutil.copytree(artifacts / "fe", tmp_path / "fe")
    member = published / "model_cards/tiny/mini.yaml"
    return [
        member,
        artifacts / "checkpoint.npz",
        artifacts / "classification",
        tmp_path / "fe",
        tmp_path / "report.json",
    ]


def run(arguments: Sequence[object]) -> None:
    """Runs the command in this process, where TensorFlow starts once for all tests."""
    validate.main([str(argument) for argument in arguments])


def refuse(arguments: Sequence[object], *parts: str) -> None:
    """Runs the command in this process; asserts that it refuses in a message with these parts."""
    with pytest.raises(Fault) as refused:
        run(arguments)
    for part in parts:
        assert part in str(refused.value)


@pytest.fixture
def published_gradients(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives validate the gradients that it measured of `mini` when it was published, instead of two more processes."""
    training = {}
    for head, module in load_report(published / "artifacts/mini/report.json").modules.items():
        assert module.gradients
        assert module.fine_tuning
        training[head] = TrainingChecks(module.gradients, module.fine_tuning)
    monkeypatch.setattr(gradients, "start", lambda *_, **__: nullcontext(lambda done: training))


def test_the_accuracy_of_one_class_is_not_measured(tmp_path: Path) -> None:
    """It would be 100 %, whatever the model does."""
    model, evaluation = Model("Mini/8", 16, 1), Evaluation("cats", 0.5)
    subject = validate.Subject(tmp_path, model, evaluation, (), tmp_path, {})
    assert validate._why_unmeasured(subject, None) == "the model has one class, so that every prediction is right"
    three = replace(subject, model=replace(model, classes=3))
    assert validate._why_unmeasured(three, None) == "no images of cats"


@pytest.mark.usefixtures("published_gradients")
def test_the_model_of_another_checkpoint_fails(arguments: list[Path], tmp_path: Path) -> None:
    write_collection(tmp_path / "other", {"zero": ("Nano/8", 16), "mini": ("Nano/8", 16)})  # mini has another seed here
    arguments[1] = tmp_path / "other/mini.npz"
    (tmp_path / "predictions.npz.failed").write_text("of an earlier run")
    refuse(
        arguments, "classification: 40 variables differ", "classification: TensorFlow and JAX differ: relative error"
    )
    assert arguments[4].read_text() == EARLIER
    assert not (tmp_path / "predictions.npz.failed").exists()  # the images were not reached
    failed = load_report(tmp_path / "report.json.failed")
    assert failed.modules[Head.FE].parity.verdict is Verdict.FAIL
    assert failed.accuracy.measured is None
    assert failed.accuracy.reason == "an earlier check failed"
    verdicts = {(rung.rung, rung.head): rung.verdict for rung in failed.ladder}
    assert verdicts["selftest", Head.FE] is Verdict.PASS  # the module is consistent with itself
    assert verdicts["weights", Head.FE] is Verdict.FAIL
    assert verdicts["gradients", Head.FE] is Verdict.NOT_MEASURED


@pytest.mark.usefixtures("published_gradients")
def test_an_untrained_head_is_refused(arguments: list[Path], tmp_path: Path) -> None:
    with np.load(arguments[1]) as archive:
        arrays = {name: np.zeros_like(archive[name]) if name.startswith("head/") else archive[name] for name in archive}
    arguments[1] = tmp_path / "zero.npz"
    np.savez(arguments[1], allow_pickle=False, **arrays)
    refuse(arguments, "'head/kernel' is all zero, so that every image has the same logits")


@pytest.mark.long
@pytest.mark.usefixtures("published_gradients")
def test_swapped_heads_fail(arguments: list[Path]) -> None:
    arguments[2], arguments[3] = arguments[3], arguments[2]
    refuse(arguments, "its output is (16, 3), expected (16, 32); it is another model or head")
    assert arguments[4].read_text() == EARLIER


def test_a_damaged_saved_model_is_refused(arguments: list[Path]) -> None:
    data = arguments[3] / "variables/variables.data-00000-of-00001"
    content = data.read_bytes()
    data.write_bytes(content[:-1000])
    sizes = f"expected {len(content):,} bytes, got {len(content) - 1000:,}"
    refuse(arguments, f"{arguments[3]}: variables/variables.data-00000-of-00001 ", sizes)
    assert arguments[4].read_text() == EARLIER


def test_a_module_for_one_platform_is_refused(arguments: list[Path]) -> None:
    for node in change_calls(arguments[3]):
        node.attr["platforms"].list.s[:] = [b"CPU"]
    refuse(arguments, f"{arguments[3]}: it is lowered for cpu only, cuda and tpu missing", "convert")
    assert arguments[4].read_text() == EARLIER


def test_a_module_with_side_effects_is_refused(arguments: list[Path]) -> None:
    for node in change_calls(arguments[3]):
        node.attr["has_token_input_output"].b = True
    refuse(
        arguments,
        f"{arguments[3]}: it has side effects (has_token_input_output), expected none",
    )


def test_a_module_that_needs_a_newer_tensorflow_is_refused(arguments: list[Path]) -> None:
    for node in change_calls(arguments[3]):
        node.attr["version"].i = 10
    refuse(arguments, f"{arguments[3]}: it needs TensorFlow 2.20 because of calling")


def change_calls(folder: Path) -> Iterator[Any]:
    """Yields each XlaCallModule node of a SavedModel to be changed, and writes the file when all were."""
    path = folder / "saved_model.pb"
    saved_model = saved_model_class().FromString(path.read_bytes())
    yield from find_xla_calls(saved_model)
    path.write_bytes(saved_model.SerializeToString(deterministic=True))


@pytest.mark.usefixtures("published_gradients")
def test_images_of_other_classes_fail_the_gate(
    arguments: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A random model recognises no colours, so its predictions become the true labels; the fault is a shift by one."""
    import tensorflow as tf

    from pipeline.images import image_set, labels
    from pipeline.images.decoding import decode
    from pipeline.model.preprocessing import prepare

    home = tmp_path / "home/tiny"
    shutil.copytree(arguments[0].parent, home)
    names = labels.read(home / "labels.tsv", 3)
    model = tf.saved_model.load(str(arguments[2]))
    images = image_set.open_images(home / "images", names)
    for example in images.examples:
        image = prepare(decode(images.read(example), example.name), 16, "resize")
        winner = names[int(np.argmax(model(image[None])))].key
        (home / "truth" / winner).mkdir(parents=True, exist_ok=True)
        shutil.copy(home / "images" / example.name, home / "truth" / winner / example.name.replace("/", "-"))
    absent = [label.key for label in names if not (home / "truth" / label.key).is_dir()]
    for key in absent:  # one image that is not of that class
        (home / "truth" / key).mkdir()
        shutil.copy(home / "images" / images.examples[0].name, home / "truth" / key / "wrong.png")
    count = 12 + len(absent)
    member = home / "mini.yaml"
    text = member.read_text().replace("images: images", "images: truth").replace("top1: 0.0", "top1: 0.7")
    member.write_text(text.replace("evaluation:\n", "evaluation:\n  reported: {top1: 0.1, source: the paper}\n"))
    arguments[0] = member
    (tmp_path / "predictions.npz.failed").write_text("of an earlier run")
    run(arguments)
    assert not (tmp_path / "predictions.npz.failed").exists()
    warning = f"warn  reported                      the reported 10.00 % is below the 95 % interval of {count} images"
    assert warning in capsys.readouterr().err
    measured = load_report(arguments[4]).accuracy.measured
    assert measured is not None
    assert (measured.top1, measured.images) == (12 / count, count)
    assert measured.top5 is None  # of three classes
    stored = (tmp_path / "predictions.npz").read_bytes()
    (home / "truth").rename(home / "right")
    for label, other in zip(names, names[1:] + names[:1], strict=True):
        shutil.copytree(home / "right" / label.key, home / "truth" / other.key)
    refuse(arguments, "mini: top-1 accuracy ", f"on {count} images", "is below the minimum")
    wrong = load_predictions(tmp_path / "predictions.npz.failed")
    assert wrong is not None
    assert wrong.right.sum() < 12
    assert (tmp_path / "predictions.npz").read_bytes() == stored


@pytest.mark.long
@pytest.mark.usefixtures("published_gradients")
def test_labels_in_another_order_than_the_modules_fail_its_class_names(arguments: list[Path], tmp_path: Path) -> None:
    home = tmp_path / "home/tiny"
    shutil.copytree(arguments[0].parent, home)
    lines = (home / "labels.tsv").read_text().splitlines()
    (home / "labels.tsv").write_text("\n".join(lines[1:] + lines[:1]) + "\n")
    arguments[0] = home / "mini.yaml"
    refuse(arguments, "serving_classify does not name the classes of its largest logits, in the label file's order")


@pytest.mark.long
@pytest.mark.usefixtures("published_gradients")
def test_without_images_the_report_says_not_measured(
    arguments: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home/tiny"
    shutil.copytree(arguments[0].parent, home)
    arguments[0] = home / "mini.yaml"
    arguments[0].write_text(arguments[0].read_text().replace("  images: images\n", ""))
    run(arguments)
    assert "accuracy is not measured: no images (set IMAGENET=<images>)" in capsys.readouterr().err
    report = load_report(arguments[4])
    assert (report.accuracy.verdict, report.accuracy.measured) == (Verdict.NOT_MEASURED, None)
    assert report.accuracy.reason == "no images of the test set of colours"
    assert report.parity_inputs == "images of uniform noise in [-1, 1], seed 0"
    assert [plot.file for plot in report.plots] == ["blocks.svg"]
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["blocks.svg"]
    # IMAGENET= is for members like this one; SAMPLES= takes a part.
    run([*arguments, "--imagenet", home / "images", "--samples", 5])
    report = load_report(arguments[4])
    assert report.accuracy.measured is not None
    assert report.accuracy.measured.images == 5
    assert report.accuracy.dataset == "its publisher's own set"  # the names of the files do not tell
    assert report.accuracy.expected_dataset == "the test set of colours"
    # A run without images does not lose the accuracy, nor bypass a gate.
    refuse(arguments, "on 5 images (pass), and would be lost without images")
    assert load_report(arguments[4]) == report
    failed = with_accuracy(with_measured(report, top1=0.0), verdict=Verdict.FAIL)
    write_report(tmp_path / "report.json.failed", failed)
    refuse(arguments, "report.json.failed: ", "0.0000 on 5 images (fail)", "IMAGENET=")
    fewer = [*arguments, "--imagenet", home / "images", "--samples", 4]
    refuse(fewer, "failed with a top-1 accuracy of 0.0000 on 5 images, which 4 cannot outweigh")


@pytest.mark.long
@pytest.mark.usefixtures("published_gradients")
def test_unreadable_images_are_refused(arguments: list[Path], tmp_path: Path) -> None:
    shutil.copytree(arguments[0].parent / "images", tmp_path / "images")
    (tmp_path / "images/red/0.png").write_bytes(b"no image")
    refuse(
        [*arguments, "--images", tmp_path / "images"],
        f"{tmp_path}/images/red/0.png: cannot be read as an image",
        "of 12 images so far are damaged, at most 0 of 12 may be",
    )
    assert arguments[4].read_text() == EARLIER


def test_unknown_class_folders_are_refused_before_tensorflow_starts(
    arguments: list[Path], tmp_path: Path, stage: Stage
) -> None:
    (tmp_path / "images/purple").mkdir(parents=True)
    done = stage("validate", *arguments, "--images", tmp_path / "images")
    assert_refused(done, "no class of the model is called 'purple'", "such as 'red'")


def test_any_other_module_is_sent_to_evaluate(stage: Stage) -> None:
    done = stage("validate", "https://me:secret@example.org/module/1", "--images", "val")
    assert_refused(done, "https://example.org/module/1: expected a member's YAML file", "python -m pipeline.evaluate")
    assert "secret" not in done.stderr


def test_the_sample_report_has_the_keys_of_a_real_one(published: Path) -> None:
    real, sample = published / "artifacts/mini/report.json", Path(__file__).parent / "data/report.json"
    expected = keys(json.loads(sample.read_text()))
    of_examples = {key for key in expected if key.startswith(".accuracy.measured.examples.")}  # mini publishes none
    assert keys(json.loads(real.read_text())) == expected - of_examples


def keys(value: Any, path: str = "") -> set[str]:
    """Returns the paths of all keys of JSON's values; the entries of a list have the same path."""
    if isinstance(value, dict):
        return {path}.union(*(keys(entry, f"{path}.{key}") for key, entry in value.items()))
    if isinstance(value, list):
        return {path}.union(*(keys(entry, path) for entry in value))
    return {path}
