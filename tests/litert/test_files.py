"""LiteRT files of a small module of ordinary TensorFlow operations."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.forms.facts import Facts, Publication
from pipeline.forms.precision import OF_FILES, Precision
from pipeline.forms.running import run_files
from pipeline.litert.converting import convert_to
from pipeline.litert.files import write_files
from pipeline.litert.forms import file_name
from pipeline.litert.metadata import metadata_of, read_metadata
from pipeline.litert.running import RUNNER
from pipeline.runtimes.judging import Images, compare_on_images
from tests.conftest import ROOT

if TYPE_CHECKING:
    import tensorflow as tf

pytestmark = pytest.mark.slow

SIZE, CLASSES = 8, 10
FACTS = Facts(
    head=Head.CLASSIFICATION,
    content_sha256="ab" * 32,
    publication=Publication("Small", "publisher/small_classification/1", 1, "A publisher", "apache-2.0"),
    image_size=SIZE,
    labels=tuple(f"class {index}" for index in range(CLASSES)),
)
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.uniform(-1, 1, (40, SIZE, SIZE, 3)).astype(np.float32)
HIDDEN, OUT = (RANDOM.normal(0, shape[0] ** -0.5, shape) for shape in ((SIZE * SIZE * 3, 128), (128, CLASSES)))


def two_layers(inputs: "tf.Tensor") -> "tf.Tensor":
    import tensorflow as tf

    flat = tf.reshape(inputs, (-1, SIZE * SIZE * 3))
    hidden = tf.nn.gelu(flat @ tf.constant(HIDDEN, tf.float32), approximate=True)
    return hidden @ tf.constant(OUT, tf.float32)


def save(folder: Path, compute: Callable[["tf.Tensor"], "tf.Tensor"], output: str = "logits") -> Path:
    """Saves a function as a SavedModel whose signature has the names that this project gives them."""
    import tensorflow as tf

    spec = tf.TensorSpec((None, SIZE, SIZE, 3), tf.float32, name="inputs")
    signature = tf.function(lambda inputs: {output: compute(inputs)}, input_signature=[spec], autograph=False)
    tf.saved_model.save(tf.Module(), str(folder), signatures={"serving_default": signature})
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("plain") / "small", two_layers)


@pytest.fixture(scope="module")
def written(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files of the small module."""
    target, converted = tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("converted")
    for precision in OF_FILES:
        (converted / precision).write_bytes(convert_to(plain, precision))
    write_files(converted, target, FACTS)
    return target


CONVERT = """
import sys
from pathlib import Path
from pipeline.forms.precision import OF_FILES
from pipeline.litert.converting import convert_to
for precision in OF_FILES:
    Path(sys.argv[2], precision).write_bytes(convert_to(Path(sys.argv[1]), precision))
"""


def run_numpy(images: np.ndarray) -> np.ndarray:
    """Returns the logits in float64."""
    hidden = images.reshape(len(images), -1).astype(np.float64) @ HIDDEN
    cubed = hidden + 0.044715 * hidden**3
    return (0.5 * hidden * (1 + np.tanh(np.sqrt(2 / np.pi) * cubed))) @ OUT


def test_every_form_computes_the_module(written: Path) -> None:
    expected = run_numpy(IMAGES)
    for precision, limit in {Precision.FLOAT32: 1e-6, Precision.FLOAT16: 2e-3, Precision.INT8: 3e-2}.items():
        (run,) = run_files(RUNNER, [written / file_name(precision)], IMAGES, rounds=0)
        assert run.outputs.keys() == {1, 32}
        for outputs in run.outputs.values():
            assert np.abs(outputs - expected).max() / np.abs(expected).max() < limit, precision


def test_files_say_what_they_are(written: Path) -> None:
    assert sorted(file.name for file in written.iterdir()) == sorted(file_name(precision) for precision in OF_FILES)
    for precision in OF_FILES:
        metadata = read_metadata((written / file_name(precision)).read_bytes(), file_name(precision))
        assert metadata == metadata_of(FACTS, precision)
        assert len(metadata.labels) == CLASSES


def test_quantized_files_keep_their_bars(written: Path) -> None:
    files = [written / file_name(precision) for precision in OF_FILES]
    runs = run_files(RUNNER, files, IMAGES, (32,), rounds=0)
    float32, *quantized = [run.outputs[32] for run in runs]
    images = Images(IMAGES, run_numpy(IMAGES).argmax(axis=1), "noise")
    half, integers = [compare_on_images(FACTS.head, outputs, float32, images) for outputs in quantized]
    half_size, integers_size = [file.stat().st_size / files[0].stat().st_size for file in files[1:]]
    assert integers_size < 0.34 < half_size < 0.53
    assert {(each.images, each.module_top1) for each in (half, integers)} == {(40, 1.0)}
    assert 0.999 < integers.cosine < half.cosine < 1


def test_files_load_in_tensorflow(written: Path) -> None:
    import tensorflow as tf

    for precision in OF_FILES:
        with pytest.warns(UserWarning, match=r"tf\.lite\.Interpreter is deprecated"):
            interpreter = tf.lite.Interpreter(str(written / file_name(precision)))
        outputs = interpreter.get_signature_runner("serving_default")(inputs=IMAGES[:3])
        assert outputs["logits"].shape == (3, CLASSES)


@pytest.mark.long
def test_another_process_writes_the_same_bytes(plain: Path, written: Path, tmp_path: Path) -> None:
    converted, target = tmp_path / "converted", tmp_path / "target"
    converted.mkdir()
    subprocess.run([sys.executable, "-c", CONVERT, plain, converted], cwd=ROOT, check=True, capture_output=True)
    write_files(converted, target, FACTS)
    for precision in OF_FILES:
        name = file_name(precision)
        assert (target / name).read_bytes() == (written / name).read_bytes(), precision


def test_an_operation_that_litert_lacks_is_named(tmp_path: Path) -> None:
    import tensorflow as tf

    plain = save(tmp_path / "module", lambda inputs: tf.math.erfinv(inputs[:, 0, 0] / 2))
    with pytest.raises(Fault, match=r"module: LiteRT has no operation Erfinv, so the module has no LiteRT files"):
        convert_to(plain, Precision.FLOAT32)


def test_a_module_of_one_xla_program_is_refused(plain: Path, tmp_path: Path) -> None:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel.FromString((plain / "saved_model.pb").read_bytes())
    saved.meta_graphs[0].graph_def.node.add(name="program", op="XlaCallModule")
    (tmp_path / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(Fault, match=r"LiteRT has no operation XlaCallModule; convert its plain twin"):
        convert_to(tmp_path, Precision.FLOAT32)
