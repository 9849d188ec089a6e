"""validate: each gate, with the input that must fail it."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import validate
from pipeline.accuracy.section import Evaluation
from pipeline.base.fault import Fault
from pipeline.facts.report import Reported
from pipeline.proof import gradients
from pipeline.proof.checks import compare, fingerprint, weights_equal
from pipeline.proof.ladder import failures
from pipeline.saved_model.graph import find_xla_calls, saved_model_class
from tests.conftest import Stage, assert_refused, write_collection

pytestmark = pytest.mark.slow

EARLIER = (Path(__file__).parent / "data/report.json").read_text()


class Variable:
    """What weights_equal() uses of a TensorFlow variable."""

    def __init__(self, name: str, value: np.ndarray) -> None:
        self.name, self.value = f"{name}:0", value

    def numpy(self) -> np.ndarray:
        return self.value


def test_equal_outputs_pass() -> None:
    outputs = np.array([[1.0, 2.0], [3.0, -4.0]], np.float32)
    found = compare(outputs + np.float32(1e-6), outputs, 1e-5, logits=True)
    assert found["verdict"] == "pass"
    assert found["max_rel"] == pytest.approx(found["max_abs"] / 4)


@pytest.mark.parametrize(
    "got",
    [
        [[1.0, 2.0], [3.0, -4.1]],  # too far
        [[1.0, 2.0], [np.nan, -4.0]],
        [[1.0, 2.0], [np.inf, -4.0]],
    ],
)
def test_other_outputs_fail(got: list) -> None:
    expected = np.array([[1.0, 2.0], [3.0, -4.0]], np.float32)
    assert compare(np.array(got, np.float32), expected, 1e-5, logits=False)["verdict"] == "fail"


def test_another_winner_fails_however_small_the_difference() -> None:
    expected = np.array([[1.0, 1.0 + 1e-6]], np.float32)
    found = compare(expected[:, ::-1], expected, 1e-5, logits=True)
    assert found["max_rel"] < 1e-5
    assert found["argmax_agreement"] == 0
    assert found["verdict"] == "fail"
    assert compare(expected[:, ::-1], expected, 1e-5, logits=False)["verdict"] == "pass"  # features have no winner


def test_weights_are_compared_bit_by_bit() -> None:
    value = np.array([1.0, 2.0], np.float32)
    expected = {"a/kernel": fingerprint(value), "b": fingerprint(value)}
    variables = [Variable("a/kernel", value), Variable("b", value)]
    assert weights_equal(variables, expected)["verdict"] == "pass"
    variables[1].value = np.nextafter(value, 3, dtype=np.float32)
    assert weights_equal(variables, expected)["different"] == ["b"]
    assert weights_equal(variables[:1], expected)["different"] == ["b"]
    assert weights_equal([*variables[:1], Variable("b", value), Variable("c", value)], expected)["different"] == ["c"]
    assert weights_equal([variables[0], Variable("b", value.reshape(2, 1))], expected)["different"] == ["b"]


def test_each_failed_gate_is_one_sentence(report: dict) -> None:
    assert failures(report) == []
    report = json.loads(json.dumps(report))
    report["modules"]["fe"]["weights"] |= {"verdict": "fail", "different": ["cls"]}
    report["modules"]["classification"]["parity"] |= {"verdict": "fail", "max_rel": 0.5}
    report["accuracy"] |= {"verdict": "fail", "reason": "the accuracy is too low"}
    report["modules"]["fe"]["blocks"]["max_rel"][3][1] = 0.1
    report["modules"]["fe"]["parity"] |= {"verdict": "fail", "max_rel": 0.2}
    weights, classification, fe, accuracy = failures(report)
    assert weights == "fe: 1 variables differ from the checkpoint: cls"
    assert classification == (
        "classification: TensorFlow and JAX differ by 5.0e-01 of the largest output, expected at most 1e-05; all blocks"
        " agree up to Transformer/encoderblock_5, so it begins after it"
    )
    assert fe.endswith(
        "; it begins between Transformer/encoderblock_1 and Transformer/encoderblock_2, which is off by 1.0e-01"
    )
    assert accuracy == "the accuracy is too low"


@pytest.mark.parametrize("value", [-0.1, 1.1, 80.462])
def test_accuracies_are_fractions(value: float) -> None:
    with pytest.raises(Fault, match="must lie in 0 to 1"):
        Evaluation("d", value)
    with pytest.raises(Fault, match="must lie in 0 to 1"):
        Evaluation("d", 0.5, reported=Reported(value, "s"))


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


@pytest.fixture(scope="module")
def gradients_once() -> Iterator[None]:
    """Computes the gradients of `mini`, which takes two processes, once for all tests that validate it."""
    compute, computed = gradients.in_own_processes, list[Any]()

    def remember(*arguments: Any) -> Any:
        if not computed:
            computed.append(compute(*arguments))
        return computed[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradients, "in_own_processes", remember)
        yield


def test_the_model_of_another_checkpoint_fails(arguments: list[Path], tmp_path: Path, stage: Stage) -> None:
    write_collection(tmp_path / "other", {"zero": ("Mini/8", 16), "mini": ("Mini/8", 16)})  # mini has another seed here
    arguments[1] = tmp_path / "other/mini.npz"
    (tmp_path / "predictions.npz.failed").write_text("of an earlier run")
    done = stage("validate", *arguments)
    assert_refused(done, "classification: 104 variables differ", "classification: TensorFlow and JAX differ by")
    assert arguments[4].read_text() == EARLIER
    assert not (tmp_path / "predictions.npz.failed").exists()  # it did not come to the images
    failed = json.loads((tmp_path / "report.json.failed").read_text())
    assert failed["modules"]["fe"]["parity"]["verdict"] == "fail"
    assert (failed["accuracy"]["verdict"], failed["accuracy"]["reason"]) == ("not measured", "an earlier check failed")
    rungs = {(rung["rung"], rung["head"]): rung["verdict"] for rung in failed["ladder"]}
    assert rungs["selftest", "fe"] == "pass"  # it is whole in itself
    assert rungs["weights", "fe"] == "fail"
    assert rungs["gradients", "fe"] == "not measured"


def test_an_untrained_head_is_refused(arguments: list[Path], tmp_path: Path) -> None:
    with np.load(arguments[1]) as archive:
        arrays = {name: np.zeros_like(archive[name]) if name.startswith("head/") else archive[name] for name in archive}
    arguments[1] = tmp_path / "zero.npz"
    np.savez(arguments[1], allow_pickle=False, **arrays)
    refuse(arguments, "outputs are all zero, so nothing can be compared")


def test_swapped_heads_fail(arguments: list[Path]) -> None:
    arguments[2], arguments[3] = arguments[3], arguments[2]
    refuse(arguments, "its output is (16, 3), expected (16, 64); it is another model or head")
    assert arguments[4].read_text() == EARLIER


def test_a_damaged_saved_model_is_refused(arguments: list[Path]) -> None:
    data = arguments[3] / "variables/variables.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1000])
    refuse(arguments, f"{arguments[3]}: TensorFlow cannot load this SavedModel")


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
        f"{arguments[3]}: its computation has side effects (has_token_input_output), expected none",
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


@pytest.mark.usefixtures("gradients_once")
def test_permuted_labels_fail_the_gate(
    arguments: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A random model sees no colours, so its own answers are made the truth, and a shift by one the fault."""
    import tensorflow as tf

    from pipeline.accuracy import predictions
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
    warning = f"validate mini: the reported 10.00 % lies below the 95 % interval of {count} images"
    assert warning in capsys.readouterr().err
    accuracy = json.loads(arguments[4].read_text())["accuracy"]
    assert (accuracy["top1"], accuracy["images"]) == (12 / count, count)
    assert "top5" not in accuracy  # of three classes
    stored = (tmp_path / "predictions.npz").read_bytes()
    lines = (home / "labels.tsv").read_text().splitlines()
    (home / "labels.tsv").write_text("\n".join(lines[1:] + lines[:1]) + "\n")
    refuse(arguments, "mini: top-1 accuracy ", f"on {count} images", "is below the gate")
    wrong = predictions.load(tmp_path / "predictions.npz.failed")
    assert wrong is not None
    assert wrong.right.sum() < 12
    assert (tmp_path / "predictions.npz").read_bytes() == stored


@pytest.mark.usefixtures("gradients_once")
def test_without_images_the_report_says_not_measured(
    arguments: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home/tiny"
    shutil.copytree(arguments[0].parent, home)
    arguments[0] = home / "mini.yaml"
    arguments[0].write_text(arguments[0].read_text().replace("  images: images\n", ""))
    run(arguments)
    assert "accuracy is not measured: no images (say IMAGENET=<images>)" in capsys.readouterr().err
    report = json.loads(arguments[4].read_text())
    assert report["accuracy"]["verdict"] == "not measured"
    assert report["parity_inputs"] == "images of uniform noise in [-1, 1], seed 0"
    assert [plot["file"] for plot in report["plots"]] == ["blocks.svg"]
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["blocks.svg"]
    # IMAGENET= is for members like this one; SAMPLES= takes a part.
    run([*arguments, "--imagenet", home / "images", "--samples", 5])
    report = json.loads(arguments[4].read_text())
    assert report["accuracy"]["images"] == 5
    assert report["accuracy"]["dataset"] == "its publisher's own set"  # for all that the names say
    assert report["accuracy"]["expected_dataset"] == "the test set of colours"
    # What was measured is not forgotten by a run without images, nor is a gate bypassed that way.
    refuse(arguments, "on 5 images (pass), and would be forgotten without images")
    assert json.loads(arguments[4].read_text()) == report
    report["accuracy"] |= {"top1": 0.0, "verdict": "fail"}
    (tmp_path / "report.json.failed").write_text(json.dumps(report))
    refuse(arguments, "report.json.failed: ", "0.0000 on 5 images (fail)", "IMAGENET=")
    fewer = [*arguments, "--imagenet", home / "images", "--samples", 4]
    refuse(fewer, "failed with a top-1 accuracy of 0.0000 on 5 images, which 4 cannot outweigh")


def test_a_damaged_earlier_report_is_refused(tmp_path: Path) -> None:
    """It may say what the accuracy was, and would be forgotten."""
    (tmp_path / "report.json").write_text('{"accuracy": ')
    with pytest.raises(Fault, match=r"report\.json: not valid JSON .*; delete it and run make validate"):
        validate.refuse_to_forget(tmp_path / "report.json", tmp_path / "none", tmp_path / "checkpoint.npz")


def test_unreadable_images_are_refused(arguments: list[Path], tmp_path: Path) -> None:
    shutil.copytree(arguments[0].parent / "images", tmp_path / "images")
    (tmp_path / "images/red/0.png").write_bytes(b"no image")
    refuse(
        [*arguments, "--images", tmp_path / "images"],
        f"{tmp_path}/images/red/0.png: cannot be read as an image",
        "of the first 12 images are damaged, of 12",
    )
    assert arguments[4].read_text() == EARLIER


def test_unknown_class_folders_are_refused_before_tensorflow_starts(
    arguments: list[Path], tmp_path: Path, stage: Stage
) -> None:
    (tmp_path / "images/purple").mkdir(parents=True)
    done = stage("validate", *arguments, "--images", tmp_path / "images")
    assert_refused(done, "no class of the model is called 'purple'", "such as 'red'")


def test_anybodys_module_is_sent_to_evaluate(stage: Stage) -> None:
    done = stage("validate", "https://me:secret@example.org/module/1", "--images", "val")
    assert_refused(done, "https://example.org/module/1: expected a member's YAML file", "python -m pipeline.evaluate")
    assert "secret" not in done.stderr
