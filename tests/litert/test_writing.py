"""What of converted files is written, and what is refused; with files made without TensorFlow."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.forms.precision import OF_FILES, Precision
from pipeline.litert.files import write_files
from pipeline.litert.metadata import metadata_of, read_metadata
from tests.litert.models import mean_model
from tests.litert.test_metadata import FACTS


@pytest.fixture
def converted(tmp_path: Path) -> Path:
    """A folder of three files that compute the same."""
    folder = tmp_path / "converted"
    folder.mkdir()
    for precision in OF_FILES:
        (folder / precision).write_bytes(mean_model())
    return folder


def test_only_the_forms_that_are_wanted_are_written(converted: Path, tmp_path: Path) -> None:
    write_files(converted, tmp_path / "hub", FACTS, (Precision.INT8,))
    assert [file.name for file in (tmp_path / "hub").iterdir()] == ["model_int8.tflite"]
    file = (tmp_path / "hub/model_int8.tflite").read_bytes()
    assert read_metadata(file, "model_int8.tflite") == metadata_of(FACTS, Precision.INT8)


def test_another_output_is_refused(converted: Path, tmp_path: Path) -> None:
    facts = replace(FACTS, head=Head.FE, labels=())
    with pytest.raises(
        Fault, match=r"the LiteRT file has the signatures .* expected serving_default: inputs to features"
    ):
        write_files(converted, tmp_path / "hub", facts, (Precision.FLOAT32,))
    assert not (tmp_path / "hub").exists()
