"""JSON bodies of TensorFlow Serving's REST API, read and written by the rules of the server.

They are those of tensorflow_serving/util/json_tensor.cc, of the types that modules have. Errors have its words.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.saved_model.graph import Signature, Tensor

_STRING = "string"
_INTEGERS = ("uint8", "int32")


class RequestError(Exception):
    """What the server answers with HTTP status 400."""


@dataclass(frozen=True, eq=False)
class Request:
    """A request to predict.

    Attributes:
        signature: its name.
        inputs: the arrays by the names of the signature's inputs; of strings, arrays of bytes objects.
        is_row: whether it has `instances`, and so gets `predictions`; else `inputs` and `outputs`.
    """

    signature: str
    inputs: Mapping[str, np.ndarray]
    is_row: bool


def read_request(body: bytes, signatures: Mapping[str, Signature]) -> Request:
    """Reads the body of a request to a model with these signatures.

    Raises:
        RequestError: says what the server would refuse.
    """
    try:
        document = json.loads(body)
    except ValueError as error:
        raise RequestError(f"JSON Parse error: {error}") from None
    if not isinstance(document, dict):
        raise RequestError("Is not object")
    name = document.get("signature_name", "serving_default")
    if name not in signatures:
        raise RequestError(f'Serving signature name: "{name}" not found in signature def')
    tensors = signatures[name].inputs
    if len(keys := {"instances", "inputs"} & document.keys()) != 1:
        raise RequestError("expecting only one of 'inputs' or 'instances'" if keys else _MISSING)
    if "instances" in document:
        return Request(name, _read_rows(document["instances"], tensors), is_row=True)
    return Request(name, _read_columns(document["inputs"], tensors), is_row=False)


_MISSING = "Missing 'inputs' or 'instances' key"


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def _is_named(value: Any) -> bool:
    """Whether a value has tensors by name."""
    return isinstance(value, dict) and not _is_base64(value)


def _only(tensors: Mapping[str, Tensor]) -> str:
    """Returns the name of the only input.

    Raises:
        RequestError: when there are several.
    """
    if len(tensors) > 1:
        raise RequestError("expecting list of objects as multiple input tensors required as per tensorinfo_map")
    return next(iter(tensors))


def _read_rows(instances: Any, tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Returns the inputs of `instances`, one for each image: a value of the only input, or values by name."""
    if not isinstance(instances, list):
        raise RequestError("Excepting 'instances' to be an list/array")
    if not instances:
        raise RequestError("No values in 'instances' array")
    if not _is_named(instances[0]):
        instances = [{_only(tensors): instance} for instance in instances]
    rows: dict[str, list[np.ndarray]] = {name: [] for name in tensors}
    for place, instance in enumerate(instances):
        where = f"Failed to process element: {place}"
        if not isinstance(instance, dict) or instance.keys() != tensors.keys():
            raise RequestError(f"{where} of 'instances' list. keys must be equal to: {','.join(sorted(tensors))}")
        for name, value in instance.items():
            array = _read_tensor(value, tensors[name].dtype)
            if rows[name] and rows[name][0].shape != array.shape:
                shapes = f"Expecting shape {list(rows[name][0].shape)} but got: {list(array.shape)}"
                raise RequestError(f"{where} key: {name} of 'instances' list. Error: {shapes}")
            rows[name].append(array)
    return {name: np.stack(arrays) for name, arrays in rows.items()}


def _read_columns(inputs: Any, tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Returns the inputs of `inputs`, whole tensors: of the only input, or by name."""
    columns = inputs if _is_named(inputs) else {_only(tensors): inputs}
    for name in tensors:
        if name not in columns:
            raise RequestError(f"Missing named input: {name} in 'inputs' object.")
    return {name: _read_tensor(columns[name], tensor.dtype) for name, tensor in tensors.items()}


def _shape(value: Any) -> tuple[int, ...]:
    """Returns the shape of nested lists, by the first element of each."""
    if not isinstance(value, list):
        return ()
    return (len(value), *(_shape(value[0]) if value else ()))


def _read_tensor(value: Any, dtype: str) -> np.ndarray:
    """Returns nested lists as an array of a type of TensorFlow."""
    shape = _shape(value)
    leaves = list(_read_leaves(value, shape, dtype, 0))
    array = np.empty(len(leaves), object if dtype == _STRING else dtype)
    array[:] = leaves
    return array.reshape(shape)


def _read_leaves(value: Any, shape: tuple[int, ...], dtype: str, level: int) -> Iterator[Any]:
    """Yields the numbers or strings of nested lists, which must have a shape."""
    if not isinstance(value, list):
        if level != len(shape):
            raise RequestError(
                f"found at incorrect level: {level + 1} in the JSON DOM. Expected at level: {len(shape)}"
            )
        yield _read_leaf(value, dtype)
    elif level >= len(shape):
        raise RequestError(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    elif len(value) != shape[level]:
        sizes = f"{len(value)} at level: {level} expected size: {shape[level]}"
        raise RequestError(f"Encountered list at unexpected size: {sizes}")
    else:
        for each in value:
            yield from _read_leaves(each, shape, dtype, level + 1)


def _read_leaf(value: Any, dtype: str) -> Any:
    if dtype == _STRING and _is_base64(value):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except binascii.Error:
            raise RequestError("Unable to base64 decode") from None
    if dtype == _STRING and isinstance(value, dict):
        raise RequestError("not formatted correctly for base64 data")
    if dtype == _STRING and isinstance(value, str):
        return value.encode()  # text, as it is: nothing is decoded without {"b64": ...}
    types = int if dtype in _INTEGERS else (int, float)
    if dtype == _STRING or isinstance(value, bool) or not isinstance(value, types):
        raise RequestError(f"JSON Value: {json.dumps(value)} is not of expected type: {dtype}")
    return value


def write_answer(outputs: Mapping[str, np.ndarray], is_row: bool) -> bytes:
    """Returns the body of an answer: a single output without its name, several by name."""
    plain = {name: _plain(name, array) for name, array in outputs.items()}
    only = next(iter(plain.values())) if len(plain) == 1 else None
    if not is_row:
        return json.dumps({"outputs": plain if only is None else only}).encode()
    rows = [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]
    return json.dumps({"predictions": rows if only is None else only}).encode()


def _plain(name: str, array: np.ndarray) -> list[Any]:
    """Returns an array as JSON has it: strings as text, but in base64 where the output's name says that it is bytes."""
    if array.dtype != object:
        values: list[Any] = array.tolist()
        return values
    if name.endswith("_bytes"):
        texts = [{"b64": base64.b64encode(each).decode()} for each in array.ravel()]
    else:
        texts = [each.decode() for each in array.ravel()]
    nested = np.empty(array.size, object)
    nested[:] = texts
    listed: list[Any] = nested.reshape(array.shape).tolist()
    return listed
