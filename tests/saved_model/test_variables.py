"""The variables of a SavedModel, and what a signature's computation reads, without TensorFlow's loader."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.base.fault import Fault
from pipeline.saved_model.bundle import INDEX, read_entries
from pipeline.saved_model.graph import attribute, parse
from pipeline.saved_model.signature_call import ArgumentSource, SignatureCall, VariableSource, find_call
from pipeline.saved_model.variables import read_variables
from tests.saved_model.bundles import Place, write_index
from tests.saved_model.models import edit

pytestmark = pytest.mark.slow

DATA = "variables/variables.data-00000-of-00001"


def meta_graph(folder: Path) -> Any:
    return parse((folder / "saved_model.pb").read_bytes(), folder).meta_graphs[0]


def call_of(folder: Path, signature: str = "serving_default") -> SignatureCall:
    return find_call(meta_graph(folder), signature, folder)


# Variables ------------------------------------------------------------------------------------------------------------
def test_variables_are_those_that_tensorflow_reads(dropping: Path) -> None:
    import tensorflow as tf

    folder = dropping / "classification"
    checkpoint = tf.train.load_checkpoint(str(folder / "variables/variables"))
    keys = [key for key in checkpoint.get_variable_to_shape_map() if key.endswith("VARIABLE_VALUE")]
    variables = read_variables(folder, meta_graph(folder))
    assert len(variables) == len(keys)
    by_name = {each.name: each.value for each in variables.values()}
    loaded = tf.saved_model.load(str(folder))
    for variable in loaded.variables:
        np.testing.assert_array_equal(by_name[variable.name.partition(":")[0]], variable.numpy())


def test_a_wrong_byte_is_found(ours: Path) -> None:
    content = bytearray((ours / DATA).read_bytes())
    place = read_entries((ours / INDEX).read_bytes())["v/.ATTRIBUTES/VARIABLE_VALUE"].offset
    content[place] ^= 1
    (ours / DATA).write_bytes(content)
    with pytest.raises(Fault, match=r"ours: the checksum of the variable v/.* is wrong; get the whole model again"):
        read_variables(ours, meta_graph(ours))


def test_wrong_bytes_of_the_object_graph_are_found(ours: Path) -> None:
    content = (ours / DATA).read_bytes()
    entry = read_entries((ours / INDEX).read_bytes())["_CHECKPOINTABLE_OBJECT_GRAPH"]
    for place in (entry.offset, entry.offset + 3, entry.offset + entry.size - 1):
        wrong = bytearray(content)
        wrong[place] ^= 0x81
        (ours / DATA).write_bytes(wrong)
        with pytest.raises(Fault, match="the checksum of the variable _CHECKPOINTABLE_OBJECT_GRAPH is wrong"):
            read_variables(ours, meta_graph(ours))


def test_variables_of_tensorflow_1_are_refused(ours: Path) -> None:
    (ours / INDEX).write_bytes(write_index([Place(b"v", 8)]))
    with pytest.raises(Fault, match=r"ours: its variables have no object graph; expected a SavedModel of TensorFlow 2"):
        read_variables(ours, meta_graph(ours))


# Signatures -----------------------------------------------------------------------------------------------------------
def test_the_call_behind_a_signature(dropping: Path) -> None:
    for head, output in {"classification": "logits", "fe": "features"}.items():
        call = call_of(dropping / head)
        assert call.node.op == "XlaCallModule"
        assert (call.arguments, call.results) == (("inputs",), {output: 0})
        sources = [each for each in call.inputs if isinstance(each, VariableSource)]
        assert call.inputs.count(ArgumentSource(0)) == 1
        assert len({each.number for each in sources}) == len(sources) == len(call.inputs) - 1
        types = attribute(call.node, "Tin").list.type
        assert len(types) == len(call.inputs)


def test_variables_come_in_the_order_of_the_inputs(dropping: Path) -> None:
    """jax2tf sorts a dictionary's keys."""
    folder = dropping / "classification"
    variables = read_variables(folder, meta_graph(folder))
    names = [variables[each.number].name for each in call_of(folder).inputs if isinstance(each, VariableSource)]
    assert names == sorted(names)
    assert "head/kernel" in names


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("serving_images", "the signature serving_images computes RealDiv"),
        ("serving_none", "no signature serving_none; expected a SavedModel that this pipeline wrote"),
    ],
)
def test_other_signatures_are_refused(dropping: Path, signature: str, message: str) -> None:
    with pytest.raises(Fault, match=re.escape(f"classification: {message}")):
        call_of(dropping / "classification", signature)


def test_models_without_jax_are_refused(models: Path) -> None:
    with pytest.raises(Fault, match="the signature serving_default computes MatMul"):
        call_of(models / "tensorflow")


def test_functions_that_call_themselves_are_refused(models: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(models / "tensorflow", tmp_path / "endless"))

    def recurse(saved_model: Any) -> None:
        for function in saved_model.meta_graphs[0].graph_def.library.function:
            for node in function.node_def:
                if node.op == "MatMul":
                    node.op = "PartitionedCall"
                    node.attr["f"].func.name = function.signature.name
                    function.ret[function.signature.output_arg[0].name] = f"{node.name}:output:0"

    edit(folder, recurse)
    with pytest.raises(Fault, match="serving_default calls functions without an end"):
        call_of(folder)
