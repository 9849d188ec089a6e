"""What of converted files is written, and what is refused; with files made without TensorFlow."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.forms.precision import OF_FILES, Precision
from pipeline.forms.quality import BARS, Bar, Examples
from pipeline.litert.files import write_converted
from pipeline.litert.metadata import metadata_of, read_metadata
from tests.litert.models import mean_model
from tests.litert.test_metadata import FACTS

EXAMPLES = Examples(np.random.default_rng(0).uniform(-1, 1, (5, 2, 2, 3)).astype(np.float32))
ANY = Bar(size=1.1, top1=1, same_class=0, cosine=-1)


@pytest.fixture
def converted(tmp_path: Path) -> Path:
    """A folder of three files that compute the same."""
    folder = tmp_path / "converted"
    folder.mkdir()
    for precision in OF_FILES:
        (folder / precision).write_bytes(mean_model())
    return folder


def test_only_the_forms_that_are_wanted_are_written(converted: Path, tmp_path: Path) -> None:
    bars = dict.fromkeys(Precision, ANY)
    qualities = write_converted(converted, tmp_path / "hub", FACTS, EXAMPLES, (Precision.INT8,), bars)
    assert [file.name for file in (tmp_path / "hub").iterdir()] == ["model_int8.tflite"]
    assert qualities[Precision.INT8].cosine == pytest.approx(1)
    assert qualities[Precision.INT8].same_class == 1
    file = (tmp_path / "hub/model_int8.tflite").read_bytes()
    assert read_metadata(file, "model_int8.tflite") == metadata_of(FACTS, Precision.INT8)


def test_nothing_is_written_when_a_file_is_outside_its_bar(converted: Path, tmp_path: Path) -> None:
    bars = {Precision.FLOAT16: ANY, Precision.INT8: BARS[Precision.INT8]}
    with pytest.raises(
        Fault, match=r"^model_int8\.tflite: not written, since on 5 images its size is 10\d\.\d% of float32"
    ):
        write_converted(converted, tmp_path / "hub", FACTS, EXAMPLES, bars=bars)
    assert not (tmp_path / "hub").exists()


def test_another_output_is_refused(converted: Path, tmp_path: Path) -> None:
    facts = replace(FACTS, head=Head.FE, labels=())
    with pytest.raises(
        Fault, match=r"the LiteRT file has the signatures .* expected serving_default: inputs to features"
    ):
        write_converted(converted, tmp_path / "hub", facts, EXAMPLES, (Precision.FLOAT32,))
    assert not (tmp_path / "hub").exists()
