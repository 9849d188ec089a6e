"""evaluate: what it refuses before it reads an image or starts TensorFlow."""

import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pipeline import evaluate
from pipeline.base.fault import Fault
from tests.saved_model.graphs import IMAGES, write_graph
from tests.saved_model.models import edit
from tests.saved_model.programs import write_program, writes


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A module of 8 x 8 pixels and 1,000 classes, which does not state its range."""
    return write_graph(tmp_path / "module")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "module: it does not state the range of its pixels; pass RANGE=-1,1, RANGE=0,1"),
        (["--range=0-255"], "RANGE=0-255: expected the least and the greatest value of a pixel"),
        (["--range=0,1", "--size=9"], "module: it takes images of 8 pixels, got SIZE=9; leave out SIZE"),
        (
            ["--range=0,1", "--layout=NCHW"],
            "module: its signature serving_default takes float32 (?, 8, 8, 3), which LAY",
        ),
        (["--range=0,1", "--background"], "module: it returns 1,000 outputs for each image, expected 1,001"),
        (["--range=0,1", "--signature=b"], "module: it has no signature 'b'\n  serving_default: images float32 (?, 8"),
        (
            ["--range=0,1", "--output=b"],
            "module: it has no output 'b'; pass OUTPUT= one of\n  logits: float32 (?, 1000)",
        ),
        (["--range=0,1", "--tags=train"], "module: no meta graph with the tags train; pass TAGS= one of: serve"),
        (["--range=0,1", "--against-size=8"], "AGAINST_SIZE is given without AGAINST, the second module"),
        (["--range=0,1"], "nowhere"),  # nothing else is wrong: the images are missing
    ],
)
def test_settings_are_refused_before_images_are_read(options: list[str], message: str, module: Path) -> None:
    with pytest.raises(Fault, match=re.escape(message)):
        evaluate.main([str(module), f"--images={module.parent}/nowhere", *options])


def test_settings_of_the_second_module_are_named(module: Path, tmp_path: Path) -> None:
    other = write_graph(tmp_path / "other", {"serving_default": (IMAGES, {"a": ("float32", (None, 1001))})})
    run = [str(module), f"--images={tmp_path}/nowhere", "--range=0,1", "--against", str(other)]
    with pytest.raises(Fault, match=r"other: it returns 1,001 outputs .* pass AGAINST_BACKGROUND=1"):
        evaluate.main(run)
    with pytest.raises(Fault, match="nowhere"):
        evaluate.main([*run, "--against-background"])


def test_one_label_measures_nothing(module: Path, tmp_path: Path) -> None:
    (tmp_path / "one.tsv").write_text("cat\tCat\n")
    with pytest.raises(
        Fault, match=r"one\.tsv: one label, so that every prediction is right; expected a label for each"
    ):
        evaluate.main([str(module), f"--images={tmp_path}", f"--labels={tmp_path}/one.tsv", "--range=0,1"])


def test_one_output_does_not_tell_two_classes_apart(tmp_path: Path) -> None:
    """As of a binary classifier of Keras."""
    binary = write_graph(tmp_path / "binary", {"serving_default": (IMAGES, {"a": ("float32", (None, 1))})})
    (tmp_path / "two.tsv").write_text("cat\tCat\ndog\tDog\n")
    message = (
        r"it returns 1 outputs for each image, expected 2 for 2 labels; one output does not tell which of the 2 lab"
    )
    with pytest.raises(Fault, match=message):
        evaluate.main([str(binary), f"--images={tmp_path}", f"--labels={tmp_path}/two.tsv", "--range=0,1"])


@pytest.mark.parametrize(
    ("operation", "installed", "message"),
    [
        (
            "SentencepieceOp",
            "2.21.0",
            r"TensorFlow 2\.21\.0 cannot load it, .*: SentencepieceOp in f \(from tensorflow_t",
        ),
        ("TfLiteSubgraphExecute", "2.21.0", r"lacks operations: TfLiteSubgraphExecute \(up to 2\.19\); evaluate"),
        ("DecodeWebP", "2.14.1", r"TensorFlow 2\.14\.1 cannot .* DecodeWebP \(from 2\.20\);"),
        ("TfLiteSubgraphExecute", "2.19.1", "nowhere"),
        ("DecodeWebP", "2.21.0", "nowhere"),
        ("Brandnew", "2.22.0-rc1", "nowhere"),  # which operations that one has is not known
        ("PyFunc", "2.21.0", "nowhere"),  # it may not be run
    ],
)
def test_operations_that_the_installed_tensorflow_lacks(
    operation: str, installed: str, message: str, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(saved_model: Any) -> None:
        function = saved_model.meta_graphs[0].graph_def.library.function.add()
        function.signature.name = "f"
        function.node_def.add(name="a", op=operation)

    edit(module, add)
    monkeypatch.setattr(evaluate, "version", lambda package: installed)
    with pytest.raises(Fault, match=message):
        evaluate.main([str(module), f"--images={module.parent}/nowhere", "--range=0,1"])


def test_what_a_trusted_model_does_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = write_program(tmp_path / "module", writes)
    with pytest.raises(Fault, match="nowhere"):
        evaluate.main([str(module), f"--images={tmp_path}/nowhere", "--range=0,1", "--trust"])
    line = f"evaluate: {module}: trusted with TRUST=1, it writes files: WriteFile /tmp/evil\n"
    assert capsys.readouterr().err == line


def test_what_is_no_saved_model_is_called_what_it_is(module: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
        for name in ("config.json", "metadata.json", "model.weights.h5"):
            archive.writestr(name, "{}")
    with pytest.raises(Fault, match=r"net\.keras: it is a model of Keras 3, not a SavedModel; export it with Keras"):
        evaluate.main([str(tmp_path / "net.keras"), f"--images={tmp_path}", "--range=0,1"])


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(Fault) as raised:
        evaluate.main(["http://me:secret@127.0.0.1:9/a", f"--images={tmp_path}", f"--cache={tmp_path}/cache"])
    assert str(raised.value).startswith("http://127.0.0.1:9/a: cannot be downloaded (")
    assert "secret" not in str(raised.value)
