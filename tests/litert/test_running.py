"""LiteRT files in LiteRT's own interpreter."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.base.fault import Fault
from pipeline.forms.running import Run, run_files
from pipeline.litert.running import RUNNER
from tests.litert.models import mean_model

IMAGES = np.random.default_rng(0).uniform(-1, 1, (35, 2, 2, 3)).astype(np.float32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(mean_model())
    return path


def run_file(file: Path, images: np.ndarray, rounds: int = 5) -> Run:
    (run,) = run_files(RUNNER, [file], images, rounds=rounds)
    return run


def test_outputs_and_speed(file: Path) -> None:
    run = run_file(file, IMAGES, rounds=2)
    np.testing.assert_allclose(run.outputs[32], IMAGES.mean(axis=(1, 2)), rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(run.outputs[1], run.outputs[32])
    assert min(run.load_seconds, run.first_seconds, run.rates[1], run.rates[32]) > 0
    assert run.version.count(".") == 2


def test_speed_is_not_measured_without_rounds(file: Path) -> None:
    run = run_file(file, IMAGES[:1], rounds=0)
    assert run.rates == {}
    assert (run.outputs[32].shape, run.outputs[1].shape) == ((1, 3), (1, 3))


def test_a_damaged_file_is_refused(file: Path) -> None:
    file.write_bytes(b"no model at all")
    with pytest.raises(Fault, match=r"model\.tflite: LiteRT cannot load it .*; write it again"):
        run_file(file, IMAGES)


def test_images_that_do_not_fit_are_refused(file: Path) -> None:
    with pytest.raises(Fault, match=r"model\.tflite: LiteRT fails on images, float32 \(1, 2, 3\)"):
        run_file(file, IMAGES[:, 0])
