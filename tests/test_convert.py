"""convert: signatures, dropout and provenance of its modules, and that their bytes are reproducible."""

import json
import os
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.fault import Fault
from pipeline.base.files import sha256_of
from pipeline.base.heads import Head
from pipeline.base.jobs import Job
from pipeline.checkpoints.digest import arrays_digest
from pipeline.model.section import Model
from pipeline.saved_model import export
from pipeline.saved_model.classes import Classes
from pipeline.saved_model.files import archive_order
from pipeline.saved_model.inspection import inspect_saved_model
from tests.conftest import ROOT, write_collection


def test_the_provenance_agrees_with_the_files(published: Path) -> None:
    folder = published / "artifacts/mini/classification"
    record = json.loads((folder / "assets.extra/provenance.json").read_text())
    model = inspect_saved_model(folder)
    assert record["checkpoint"] == {
        "name": "mini",
        "source": "mini.npz",
        "sha256": sha256_of(published / "model_cards/tiny/mini.npz"),
        "arrays_sha256": arrays_digest(published / "model_cards/tiny/mini.npz", "mini"),
    }
    assert record["model"] == {
        "architecture": "vit",
        "variant": "Nano/8",
        "image_size": 16,
        "classes": 3,
        "dropout": 0.0,
    }
    assert sorted(record["platforms"]) == list(model.platforms or ())
    assert (record["calling_convention"],) == model.conventions
    assert {record["stablehlo"]} == {module.stablehlo for module in model.computations}
    assert record["versions"].keys() == {"flax", "jax", "tensorflow"}  # a release of the project changes no module
    assert record["versions"]["tensorflow"] == model.written_by


def test_another_process_folder_and_user_give_the_same_bytes(published: Path, tmp_path: Path) -> None:
    """A second run differs in folders, user, time zone, locale, hash seed and settings of libraries."""
    write_collection(tmp_path / "elsewhere/tiny", {"mini": ("Nano/8", 16)})
    out = tmp_path / "another folder/mini"
    others = {
        "HOME": str(tmp_path),
        "USER": "somebody",
        "LOGNAME": "somebody",
        "PYTHONHASHSEED": "7",
        "TZ": "Asia/Tokyo",
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONOPTIMIZE": "1",
        "SOURCE_DATE_EPOCH": "0",
        "OMP_NUM_THREADS": "1",
        # Each of these gave other bytes or a traceback.
        "JAX_ENABLE_X64": "1",
        "JAX_DISABLE_JIT": "1",
        "JAX_PLATFORMS": "cuda",
        "JAX_NUMPY_RANK_PROMOTION": "raise",
        "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
        "JAX2TF_DEFAULT_NATIVE_SERIALIZATION": "0",
        "JAX2TF_ASSOCIATIVE_SCAN_REDUCTIONS": "1",
        "EAGER_CONSTANT_FOLDING": "1",
        "XLA_FLAGS": "--xla_no_such_flag",
        "TF2_BEHAVIOR": "0",
        "TF_FUNCTION_JIT_COMPILE_DEFAULT": "1",
        "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python",
    }
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = os.environ | others | {"TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    member = tmp_path / "elsewhere/tiny/mini.yaml"
    command = [sys.executable, "-m", "pipeline.convert", str(member), str(member.with_suffix(".npz")), str(out)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for head in Head:
        earlier = published / "artifacts/mini" / head
        for name in archive_order(earlier):
            if not name.endswith("/"):
                assert (out / head / name).read_bytes() == (earlier / name).read_bytes(), name
    assert list(temporary.iterdir()) == []  # temporary files are removed


@pytest.mark.parametrize("head", [Head.CLASSIFICATION, pytest.param(Head.FE, marks=pytest.mark.long)])
def test_dropout_is_active_only_while_training(dropping: Path, head: Head) -> None:
    import tensorflow as tf

    module = tf.saved_model.load(str(dropping / head))
    images = tf.constant(np.random.default_rng(0).uniform(-1, 1, (7, 16, 16, 3)), tf.float32)
    result = module(images)
    np.testing.assert_array_equal(module(images, training=False), result)
    first, second = module(images, training=True), module.train(images)
    assert np.abs(first - result).max() > 1e-3
    assert np.abs(first - second).max() > 1e-3  # a new key for each call
    twice = module(tf.repeat(images[:1], 2, axis=0), training=True)
    assert np.abs(twice[0] - twice[1]).max() > 1e-3  # and a mask for each image


def test_both_signatures_preprocess_as_validation_does(published: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    from pipeline.model.preprocessing import prepare

    module = tf.saved_model.load(str(published / "artifacts/mini/classification"))
    rng = np.random.default_rng(0)
    for height, width in ((16, 16), (40, 25), (7, 9)):
        pixels = rng.integers(0, 256, (2, height, width, 3), np.uint8)
        logits = module.signatures["serving_images"](images=tf.constant(pixels))["logits"].numpy()
        assert logits.shape == (2, 3)
        expected = module(tf.constant(prepare(pixels[1], 16, "resize")[np.newaxis])).numpy()
        np.testing.assert_allclose(logits[1:], expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def exporting(path: Path, out: Path) -> AbstractContextManager[Job]:
    folders = {head: out / head for head in Head}
    for folder in folders.values():
        folder.mkdir()
    return export.start_export(Model("Mini/8", 16, 3), path.parent, path, folders, Classes())


def test_an_export_that_is_killed_is_a_fault(mini_checkpoint: Path, tmp_path: Path) -> None:
    with exporting(mini_checkpoint, tmp_path) as job:
        os.kill(job.process.pid, signal.SIGKILL)
        with pytest.raises(Fault, match=r"^the export was killed by SIGKILL; unless somebody did that, memory"):
            job.wait()


@pytest.mark.slow
def test_a_fault_of_an_export_is_raised_in_its_parent(tmp_path: Path) -> None:
    with exporting(tmp_path / "gone.npz", tmp_path) as job, pytest.raises(Fault) as raised:
        job.wait()
    assert str(raised.value) == f"{tmp_path / 'gone.npz'}: no such checkpoint; run make fetch first"


def test_an_export_ends_with_its_parent(mini_checkpoint: Path, tmp_path: Path) -> None:
    with exporting(mini_checkpoint, tmp_path) as job:
        assert isinstance(job.process, subprocess.Popen)
        assert job.process.stdin
        job.process.stdin.close()  # as the kernel does for a parent that was killed
        assert job.process.wait() == 1
    assert not [*tmp_path.glob("*/saved_model.pb")]


@pytest.mark.slow
@pytest.mark.parametrize("head", Head)
def test_no_function_is_there_only_to_be_called_by_another(published: Path, head: Head) -> None:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    path = published / f"artifacts/mini/{head}/saved_model.pb"
    (meta_graph,) = SavedModel.FromString(path.read_bytes()).meta_graphs
    public = meta_graph.object_graph_def.concrete_functions
    functions = {function.signature.name: function.node_def for function in meta_graph.graph_def.library.function}
    plain = {"StatefulPartitionedCall", "Identity", "NoOp"}
    called = {
        node.attr["f"].func.name
        for nodes in functions.values()
        for node in nodes
        if node.op == "StatefulPartitionedCall" and {each.op for each in nodes} <= plain
    }
    assert called
    assert called <= public.keys()
