"""Replays a module's self-test in TensorFlow's C API, on the CPU, and prints the figures as JSON.

    python -m pipeline.proof.c_api FOLDER

The C API is what the Go and Java APIs call; its loader is that of TensorFlow Serving. It lies in the C++ library of the
tensorflow package, whose Python does not run here. validate runs this in a process of its own: an error in TensorFlow's
C++ may end it. It imports nothing that takes long, so it runs beside the imports and checks of validate itself.
"""

import argparse
import ctypes
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from ctypes import POINTER, byref, c_char_p, c_int, c_int64, c_size_t, c_void_p
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.jobs import run_job, start_job
from pipeline.base.strict_json import parse_json
from pipeline.facts.checks import LoaderCheck
from pipeline.proof.loaders import SelfTest, read_selftest
from pipeline.saved_model.graph import parse

_MODULE = "pipeline.proof.c_api"
_LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_cc.2.dylib")  # Linux, macOS; Windows has none
_TYPES = {"float32": 1, "int32": 3, "uint8": 4}  # tensorflow.DataType
_STRING = 7  # the type of a tensor of strings, arrays of bytes objects here
_STRING_BYTES = 24  # of a TF_TString (tensorflow/core/platform/ctstring_internal.h)
_NAMES = {number: name for name, number in _TYPES.items()}


class CApiError(Exception):
    """An error that TensorFlow's C API reports; the message is its own."""


class _Output(ctypes.Structure):
    """TF_Output: one of the outputs of an operation in a graph."""

    _fields_ = (("operation", c_void_p), ("index", c_int))


# Each function's result and arguments (tensorflow/c/c_api.h). Handles are pointers; None for void.
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "TF_NewStatus": (c_void_p, []),
    "TF_DeleteStatus": (None, [c_void_p]),
    "TF_GetCode": (c_int, [c_void_p]),
    "TF_Message": (c_char_p, [c_void_p]),
    "TF_NewGraph": (c_void_p, []),
    "TF_DeleteGraph": (None, [c_void_p]),
    "TF_GraphOperationByName": (c_void_p, [c_void_p, c_char_p]),
    "TF_NewSessionOptions": (c_void_p, []),
    "TF_DeleteSessionOptions": (None, [c_void_p]),
    # options, run options, folder, tags, their number, graph, the meta graph as a buffer, status
    "TF_LoadSessionFromSavedModel": (
        c_void_p,
        [c_void_p, c_void_p, c_char_p, POINTER(c_char_p), c_int, c_void_p, c_void_p, c_void_p],
    ),
    "TF_CloseSession": (None, [c_void_p, c_void_p]),
    "TF_DeleteSession": (None, [c_void_p, c_void_p]),
    # session, run options, inputs, their values and number, outputs, their values and number, targets and their
    # number, run metadata, status
    "TF_SessionRun": (
        None,
        [c_void_p, c_void_p] + [POINTER(_Output), POINTER(c_void_p), c_int] * 2 + [c_void_p, c_int, c_void_p, c_void_p],
    ),
    "TF_AllocateTensor": (c_void_p, [c_int, POINTER(c_int64), c_int, c_size_t]),
    "TF_DeleteTensor": (None, [c_void_p]),
    "TF_TensorType": (c_int, [c_void_p]),
    "TF_NumDims": (c_int, [c_void_p]),
    "TF_Dim": (c_int64, [c_void_p, c_int]),
    "TF_TensorByteSize": (c_size_t, [c_void_p]),
    "TF_TensorData": (c_void_p, [c_void_p]),
    # TF_TString (tensorflow/c/tf_tstring.h): each by its address
    "TF_StringInit": (None, [c_void_p]),
    "TF_StringCopy": (None, [c_void_p, c_char_p, c_size_t]),
    "TF_StringGetDataPointer": (c_void_p, [c_void_p]),
    "TF_StringGetSize": (c_size_t, [c_void_p]),
    "TF_StringDealloc": (None, [c_void_p]),
}


def find_library() -> Path | None:
    """Returns TensorFlow's C++ library in the tensorflow package; None where the package has none."""
    spec = find_spec("tensorflow")
    folders = spec.submodule_search_locations if spec and spec.submodule_search_locations else ()
    paths = [Path(folder, name) for folder in folders for name in _LIBRARIES]
    return next((path for path in paths if path.is_file()), None)


class CApi:
    """The functions of TensorFlow's C API that load and run a SavedModel."""

    def __init__(self, path: Path) -> None:
        """Loads the library.

        Raises:
            OSError: when the system cannot load it.
            AttributeError: when it lacks one of the functions.
        """
        library = ctypes.CDLL(str(path))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        self._library = library

    @contextmanager
    def load(self, folder: Path) -> Iterator["Session"]:
        """Loads the meta graph `serve` of a SavedModel into a session, which ends with the block.

        Raises:
            CApiError: when TensorFlow refuses it.
        """
        library = self._library
        with ExitStack() as stack:
            status = stack.enter_context(self._handle("TF_NewStatus", "TF_DeleteStatus"))
            graph = stack.enter_context(self._handle("TF_NewGraph", "TF_DeleteGraph"))
            options = stack.enter_context(self._handle("TF_NewSessionOptions", "TF_DeleteSessionOptions"))
            tags = (c_char_p * 1)(b"serve")
            session = library.TF_LoadSessionFromSavedModel(
                options, None, os.fsencode(folder), tags, len(tags), graph, None, status
            )
            self.check(status)
            stack.callback(library.TF_DeleteSession, session, status)
            stack.callback(library.TF_CloseSession, session, status)
            yield Session(self, graph, session, status)

    @contextmanager
    def _handle(self, new: str, delete: str) -> Iterator[int]:
        """Yields a new handle, which is deleted at the end of the block."""
        handle = getattr(self._library, new)()
        try:
            yield handle
        finally:
            getattr(self._library, delete)(handle)

    def check(self, status: int) -> None:
        """Raises CApiError if a status holds an error."""
        if self._library.TF_GetCode(status):
            raise CApiError(self._library.TF_Message(status).decode(errors="replace"))

    @contextmanager
    def tensor(self, array: np.ndarray) -> Iterator[int]:
        """Yields a tensor with a copy of an array of one of _TYPES, or of bytes objects."""
        is_text = array.dtype == object
        number = _STRING if is_text else _TYPES[array.dtype.name]
        shape, size = (c_int64 * array.ndim)(*array.shape), array.size * _STRING_BYTES if is_text else array.nbytes
        tensor = self._library.TF_AllocateTensor(number, shape, array.ndim, size)
        try:
            if is_text:
                self._fill_strings(tensor, array.ravel().tolist())
            else:
                content = np.ascontiguousarray(array)
                ctypes.memmove(self._library.TF_TensorData(tensor), content.ctypes.data, array.nbytes)
            yield tensor
        finally:
            self._delete(tensor)

    def _fill_strings(self, tensor: int, strings: Sequence[bytes]) -> None:
        for place, string in zip(self._strings(tensor), strings, strict=True):
            self._library.TF_StringInit(place)
            self._library.TF_StringCopy(place, string, len(string))

    def _strings(self, tensor: int) -> Iterator[int]:
        """Yields the address of each TF_TString of a tensor of strings."""
        start, size = self._library.TF_TensorData(tensor), self._library.TF_TensorByteSize(tensor)
        return iter(range(start, start + size, _STRING_BYTES) if size else ())

    def _delete(self, tensor: int) -> None:
        """Deletes a tensor, and what its strings hold."""
        if self._library.TF_TensorType(tensor) == _STRING:
            for place in self._strings(tensor):
                self._library.TF_StringDealloc(place)
        self._library.TF_DeleteTensor(tensor)

    def take_array(self, tensor: int) -> np.ndarray:
        """Returns a copy of a tensor, an array of one of _TYPES or of bytes objects, and deletes the tensor.

        Raises:
            CApiError: for a tensor of another type.
        """
        library = self._library
        try:
            shape = [library.TF_Dim(tensor, axis) for axis in range(library.TF_NumDims(tensor))]
            if (number := library.TF_TensorType(tensor)) == _STRING:
                return np.array([self._read_string(place) for place in self._strings(tensor)], object).reshape(shape)
            if number not in _NAMES:
                raise CApiError(f"a tensor of type {number}, expected one of {', '.join(_TYPES)} or strings")
            content = ctypes.string_at(library.TF_TensorData(tensor), library.TF_TensorByteSize(tensor))
            return np.frombuffer(content, _NAMES[number]).reshape(shape)
        finally:
            self._delete(tensor)

    def _read_string(self, place: int) -> bytes:
        return ctypes.string_at(self._library.TF_StringGetDataPointer(place), self._library.TF_StringGetSize(place))

    def run(self, session: int, fed: _Output, tensor: int, fetched: Sequence[_Output], status: int) -> list[int]:
        """Feeds a tensor, and returns the tensors of outputs.

        Raises:
            CApiError: when TensorFlow cannot compute them.
        """
        results = (c_void_p * len(fetched))()
        inputs = (byref(fed), byref(c_void_p(tensor)), 1)
        outputs = ((_Output * len(fetched))(*fetched), results, len(fetched))
        self._library.TF_SessionRun(session, None, *inputs, *outputs, None, 0, None, status)
        self.check(status)
        return [result for result in results if result]

    def output(self, graph: int, name: str) -> _Output:
        """Returns the output "<operation>:<index>" of a graph.

        Raises:
            CApiError: when the graph has no such operation.
        """
        operation, _, index = name.partition(":")
        handle = self._library.TF_GraphOperationByName(graph, operation.encode())
        if not handle:
            raise CApiError(f"the graph has no operation {operation}")
        return _Output(handle, int(index))


class Session:
    """A SavedModel that the C API has loaded."""

    def __init__(self, api: CApi, graph: int, session: int, status: int) -> None:
        self._api, self._graph, self._session, self._status = api, graph, session, status

    def run(self, fed: str, array: np.ndarray, fetched: Mapping[str, str]) -> dict[str, np.ndarray]:
        """Feeds an array to the tensor named `fed`, and returns the arrays of the tensors that `fetched` names.

        Raises:
            CApiError: when there is no such tensor, or TensorFlow cannot compute it.
        """
        api = self._api
        source = api.output(self._graph, fed)
        targets = [api.output(self._graph, name) for name in fetched.values()]
        with api.tensor(array) as tensor:
            results = api.run(self._session, source, tensor, targets, self._status)
        return {name: api.take_array(result) for name, result in zip(fetched, results, strict=True)}


@dataclass(frozen=True)
class TensorNames:
    """The names of a signature's tensors in its graph, by the names of its inputs and outputs."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


def tensor_names(folder: Path) -> dict[str, TensorNames]:
    """Returns the names of the tensors of each signature for serving.

    Raises:
        Fault: when saved_model.pb is damaged.
    """
    saved_model = parse((folder / "saved_model.pb").read_bytes(), folder)
    return {
        name: TensorNames(
            {key: tensor.name for key, tensor in signature.inputs.items()},
            {key: tensor.name for key, tensor in signature.outputs.items()},
        )
        for meta_graph in saved_model.meta_graphs
        if "serve" in meta_graph.meta_info_def.tags
        for name, signature in meta_graph.signature_def.items()
    }


def relative_errors(session: Session, folder: Path, test: SelfTest) -> dict[str, float]:
    """Returns the relative error of each signature of the self-test.

    Raises:
        CApiError: when a signature is missing or cannot be run.
    """
    signatures, errors = tensor_names(folder), {}
    for name, way in test.ways().items():
        if name not in signatures or way.input not in signatures[name].inputs:
            raise CApiError(f"there is no signature {name} with an input {way.input}")
        names = signatures[name]
        errors[name] = way.error(session.run(names.inputs[way.input], way.value, names.outputs))
    return errors


def check(folder: Path) -> LoaderCheck:
    """Replays the self-test of a SavedModel in the C API.

    Raises:
        Fault: when there is no self-test.
    """
    test, path = read_selftest(folder), find_library()
    if path is None:
        return test.skip(f"the tensorflow package has no {' or '.join(_LIBRARIES)}")
    try:
        api = CApi(path)
    except (OSError, AttributeError) as error:
        return test.skip(f"{path.name} cannot be used: {error}")
    try:
        with api.load(folder) as session:
            return test.judge(relative_errors(session, folder, test))
    except CApiError as error:
        return test.fail(error)


@contextmanager
def start(folder: Path) -> Iterator[Callable[[], LoaderCheck]]:
    """Starts check() in a process of its own, which ends at the latest with the block.

    Yields:
        A function that waits and returns the check. It raises Fault when the process was killed, or died of an error in
        TensorFlow.
    """
    with start_job(_MODULE, [folder], f"{folder}: the process that loads it by TensorFlow's C API") as job:
        yield lambda: parse_json(LoaderCheck, job.wait())


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog=f"python -m {_MODULE}", description="Runs a SavedModel by the C API.")
    parser.add_argument("folder", type=Path, help="the SavedModel, with its self-test")
    args = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # its parent's TensorFlow has reserved the memory of all GPUs
    print(json.dumps(asdict(check(args.folder))))


if __name__ == "__main__":
    run_job(_MODULE, main)
