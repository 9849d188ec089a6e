"""The metadata of ONNX files, read without onnx."""

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from pipeline.base.fault import Fault
from pipeline.onnx_form.properties import read_properties

PROPERTIES = {"handle": "me/net_fe/1", "labels": "Zoë, " * 60, "empty": ""}


def write_model(path: Path) -> bytes:
    """Writes a model with weights, several operator sets and properties, and returns its bytes."""
    weights = helper.make_tensor("weights", TensorProto.FLOAT, (300,), [1.0] * 300)
    graph = helper.make_graph([], "graph", [], [], [weights])
    operators = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, producer_name="tests", opset_imports=operators)
    helper.set_model_props(model, PROPERTIES)
    path.write_bytes(content := model.SerializeToString())
    return content


def test_properties_are_those_that_onnx_writes(tmp_path: Path) -> None:
    write_model(tmp_path / "model.onnx")
    assert read_properties(tmp_path / "model.onnx") == PROPERTIES


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x07", "the byte 0 begins no field"),
        (b"\x3a\xff\xff\xff\xff\x0f", "the field 7 ends behind the file"),
        (b"\xff" * 20, "cut short or has more than 64 bits"),
        (b"\x08\x01" * 10_001, "more than 10,000 fields"),
        (b"\x72\x02\x0a\x05", "a property ends behind its field"),
        (b"\x72\x03\x0a\x01\xff", "can't decode byte 0xff"),
        (b"\x72\xff\xff\xff\x02" + b"\x0a" * (6 << 20), "a property has 6,291,455 bytes"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(Fault, match=rf"model\.onnx: expected an ONNX file \(.*{reason}"):
        read_properties(path)


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    content = write_model(tmp_path / "model.onnx")
    (tmp_path / "model.onnx").write_bytes(content[:-5])
    with pytest.raises(Fault, match="expected an ONNX file"):
        read_properties(tmp_path / "model.onnx")
