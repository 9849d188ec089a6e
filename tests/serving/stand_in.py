"""A stand-in for TensorFlow Serving, whose server cannot be had here: its REST API over TensorFlow's C API.

The C API loads a SavedModel as the server does, and JSON is read by its rules (tests.serving.json_bodies). What is not
here: batching, configuration, watching for versions. It says nothing of the server's own flags.
"""

import functools
import http.server
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.proof.c_api import CApi, CApiError, Session, TensorNames, find_library, tensor_names
from pipeline.saved_model.graph import Signature, parse, read_signatures
from tests.conftest import serving
from tests.serving.json_bodies import RequestError, read_request, write_answer

_PATH = re.compile(r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+))?(?P<predict>:predict)?")


@dataclass(frozen=True, eq=False)
class Model:
    """A version of a model, loaded by the C API."""

    version: int
    signatures: Mapping[str, Signature]
    names: Mapping[str, TensorNames]
    session: Session

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the outputs of a signature of one input, as all of a module are.

        Raises:
            CApiError: says what TensorFlow refuses.
        """
        ((name, array),) = inputs.items()
        names = self.names[signature]
        return self.session.run(names.inputs[name], array, names.outputs)


def library() -> CApi:
    """Returns TensorFlow's C API."""
    path = find_library()
    assert path
    return CApi(path)


@contextmanager
def load_models(folder: Path) -> Iterator[dict[str, Model]]:
    """Loads the newest version of each model of a folder: <model>/<number>/saved_model.pb; others are passed over."""
    api, models = library(), {}
    with ExitStack() as stack:
        for model in sorted(path for path in folder.iterdir() if path.is_dir()):
            versions = [int(path.name) for path in model.iterdir() if path.name.isdecimal()]
            if versions:
                path = model / str(max(versions))
                (graph,) = parse((path / "saved_model.pb").read_bytes(), path).meta_graphs
                session = stack.enter_context(api.load(path))
                models[model.name] = Model(max(versions), read_signatures(graph), tensor_names(path), session)
        yield models


class _Handler(http.server.BaseHTTPRequestHandler):
    def __init__(self, *arguments: object, models: Mapping[str, Model]) -> None:
        self._models = models
        super().__init__(*arguments)  # type: ignore[arg-type]

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing."""

    def _find(self, predict: bool) -> Model | None:
        """Returns the model that the path names, or answers that there is none."""
        match = _PATH.fullmatch(self.path)
        if not match or bool(match["predict"]) != predict:
            self._answer(404, {"error": "Malformed request"})
            return None
        model = self._models.get(match["name"])
        if model is None or match["version"] not in (None, str(model.version)):
            which = f"Specific({match['name']}, {match['version']})" if match["version"] else f"Latest({match['name']})"
            self._answer(404, {"error": f"Servable not found for request: {which}"})
            return None
        return model

    def do_GET(self) -> None:
        if model := self._find(predict=False):
            status = {"error_code": "OK", "error_message": ""}
            states = [{"version": str(model.version), "state": "AVAILABLE", "status": status}]
            self._answer(200, {"model_version_status": states})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if model := self._find(predict=True):
            try:
                request = read_request(body, model.signatures)
                outputs = model.run(request.signature, request.inputs)
            except (RequestError, CApiError) as error:
                self._answer(400, {"error": str(error)})
            else:
                self._send(200, write_answer(outputs, request.is_row))

    def _answer(self, status: int, document: object) -> None:
        self._send(status, json.dumps(document).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def stand_in(folder: Path) -> Iterator[str]:
    """Serves a folder of models; yields the address, such as http://127.0.0.1:8501."""
    with load_models(folder) as models, serving(functools.partial(_Handler, models=models)) as address:
        yield address
