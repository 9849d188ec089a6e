"""json_bodies: requests as TensorFlow Serving's source reads them, answers as it writes them, and what it refuses."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from pipeline.saved_model.graph import Signature, Tensor
from tests.serving.json_bodies import RequestError, read_request, write_answer

FLOATS, PIXELS, FILES = Tensor("float32", (None, 2, 1)), Tensor("uint8", (None, None)), Tensor("string", (None,))
SIGNATURES = {
    "serving_default": Signature({"inputs": FLOATS}, {"logits": FLOATS}),
    "serving_images": Signature({"images": PIXELS}, {"logits": FLOATS}),
    "serving_jpeg": Signature({"encoded": FILES}, {"logits": FLOATS}),
    "two": Signature({"a": FILES, "b": FLOATS}, {"logits": FLOATS}),
}
FILE = bytes(range(256))
B64 = {"b64": base64.b64encode(FILE).decode()}


def read(**body: Any) -> dict[str, np.ndarray]:
    return dict(read_request(json.dumps(body).encode(), SIGNATURES).inputs)


@pytest.mark.parametrize(
    "body", [{"instances": [B64, B64]}, {"instances": [{"encoded": B64}] * 2}, {"inputs": [B64, B64]},
             {"inputs": {"encoded": [B64, B64]}}],
)  # fmt: skip
def test_every_form_of_files_gives_the_same_strings(body: dict[str, Any]) -> None:
    inputs = read(signature_name="serving_jpeg", **body)
    assert inputs.keys() == {"encoded"}
    assert inputs["encoded"].tolist() == [FILE, FILE]
    assert inputs["encoded"].dtype == object


def test_numbers_have_the_signature_s_type_and_shape() -> None:
    inputs = read(instances=[[[0], [0.5]], [[1], [-1]]])["inputs"]
    assert (inputs.dtype.name, inputs.shape) == ("float32", (2, 2, 1))
    assert inputs[:, :, 0].tolist() == [[0, 0.5], [1, -1]]
    assert read(signature_name="serving_images", inputs=[[0, 255]])["images"].dtype == np.uint8


def test_text_without_b64_is_the_text_itself() -> None:
    """The classic mistake: the module gets the letters of base64 for a file."""
    assert read(signature_name="serving_jpeg", instances=[B64["b64"]])["encoded"].tolist() == [B64["b64"].encode()]


def test_several_inputs_are_named() -> None:
    inputs = read(signature_name="two", instances=[{"a": "x", "b": [[1], [2]]}])
    assert (inputs["a"].tolist(), inputs["b"].shape) == ([b"x"], (1, 2, 1))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"inputs": [], "instances": []}, "expecting only one of"),
        ({"instances": {}}, "to be an list/array"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"signature_name": "other", "instances": [1]}, 'name: "other" not found in signature def'),
        ({"signature_name": "two", "instances": [1]}, "expecting list of objects"),
        ({"instances": [{"input": [[1], [2]]}]}, "keys must be equal to: inputs"),
        ({"instances": [[[1], [2]], [[1]]]}, r"Expecting shape \[2, 1\] but got: \[1, 1\]"),
        ({"instances": [[[1], [2, 3]]]}, "list at unexpected size: 2 at level: 1 expected size: 1"),
        ({"instances": [[[1], 2]]}, "found at incorrect level: 2"),
        ({"instances": [[1, [2]]]}, "list at unexpected level: 1 expected < 1"),
        ({"instances": ["one"]}, "is not of expected type: float32"),
        ({"instances": [True]}, "is not of expected type: float32"),
        ({"signature_name": "serving_images", "instances": [[0.5]]}, "is not of expected type: uint8"),
        ({"signature_name": "serving_jpeg", "instances": [{"encoded": 1}]}, "is not of expected type: string"),
        ({"signature_name": "serving_jpeg", "instances": [{"b64": "?"}]}, "Unable to base64 decode"),
        ({"signature_name": "serving_jpeg", "inputs": {"encoded": [{"base64": "AA=="}]}}, "not formatted correctly"),
        ({"signature_name": "serving_jpeg", "inputs": {"files": []}}, "Missing named input: encoded"),
    ],
)
def test_what_the_server_refuses(body: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read(**body)


@pytest.mark.parametrize(("body", "message"), [(b"{", "JSON Parse error"), (b"[]", "Is not object")])
def test_a_body_that_is_no_object_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read_request(body, SIGNATURES)


def test_one_output_has_no_name_and_several_have() -> None:
    logits, names = np.array([[1.5, 2], [3, 4]], np.float32), np.array([[b"Bag"], ["Vache, 牛".encode()]], object)
    only = {"logits": logits}
    assert json.loads(write_answer(only, is_row=True)) == {"predictions": [[1.5, 2], [3, 4]]}
    assert json.loads(write_answer(only, is_row=False)) == {"outputs": [[1.5, 2], [3, 4]]}
    both = only | {"top_classes": names}
    assert json.loads(write_answer(both, is_row=True)) == {
        "predictions": [
            {"logits": [1.5, 2], "top_classes": ["Bag"]},
            {"logits": [3, 4], "top_classes": ["Vache, 牛"]},
        ]
    }
    assert json.loads(write_answer(both, is_row=False))["outputs"]["top_classes"] == [["Bag"], ["Vache, 牛"]]
    assert json.loads(write_answer({"a_bytes": names[:1]}, is_row=False)) == {"outputs": [[{"b64": "QmFn"}]]}
