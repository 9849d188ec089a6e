"""The stand-in, and TensorFlow's C API with requests as a server gets them: right answers, and refusals."""

import base64
import ctypes
import json
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import numpy as np
import pytest

from pipeline.base import png
from pipeline.proof.c_api import CApiError, find_library
from tests.conftest import ROOT
from tests.proof.test_loaders import NAMES, plain_module
from tests.serving.stand_in import load_models, stand_in

pytestmark = pytest.mark.slow

PIXELS = np.arange(12, dtype=np.uint8).reshape(2, 2, 3) * 20
FILE = {"b64": base64.b64encode(png.encode(PIXELS)).decode()}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with version 2 of a model of 2x2 pixels and three classes, and a folder that is no version."""
    folder = tmp_path_factory.mktemp("serving") / "models"
    plain_module(folder / "vit/2")
    (folder / "vit/new").mkdir()
    (folder / "empty/latest").mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def server(models: Path) -> Iterator[str]:
    with stand_in(models) as address:
        yield address


def ask(address: str, body: object = None) -> tuple[int, dict[str, Any]]:
    """Returns the status and the document of an answer."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(address, data)) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def expected() -> np.ndarray:
    """Returns the logits of PIXELS, as plain_module() computes them."""
    inputs = (PIXELS.astype(np.float32) - 127.5) / 127.5
    logits: np.ndarray = inputs.reshape(1, 12) @ (np.arange(36, dtype=np.float32).reshape(12, 3) / 10)
    return logits


def test_a_file_a_picture_and_numbers_have_the_same_answer(server: str) -> None:
    address = f"{server}/v1/models/vit:predict"
    inputs = ((PIXELS.astype(np.float32) - 127.5) / 127.5).tolist()
    for body in (
        {"signature_name": "serving_jpeg", "instances": [FILE, FILE]},
        {"signature_name": "serving_images", "instances": [PIXELS.tolist()] * 2},
        {"instances": [inputs] * 2},
    ):
        status, answer = ask(address, body)
        assert status == 200, answer
        np.testing.assert_allclose(answer["predictions"], np.repeat(expected(), 2, axis=0), rtol=1e-5)


def test_the_likeliest_classes_are_named(server: str) -> None:
    body = {"signature_name": "serving_classify", "inputs": {"encoded": [FILE]}}
    status, answer = ask(f"{server}/v1/models/vit/versions/2:predict", body)
    assert status == 200, answer
    order = np.argsort(-expected()[0])
    assert answer["outputs"]["top_classes"] == [[NAMES[index] for index in order]]
    assert answer["outputs"]["top_indices"] == [order.tolist()]


def test_the_newest_version_is_available(server: str) -> None:
    status, answer = ask(f"{server}/v1/models/vit")
    assert (status, answer["model_version_status"][0]["version"]) == (200, "2")
    for path in ("empty", "vit/versions/1", "other"):
        status, answer = ask(f"{server}/v1/models/{path}")
        assert (status, answer["error"].split("(")[0]) == (
            404,
            "Servable not found for request: " + ("Specific" if "/" in path else "Latest"),
        )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"signature_name": "serving_jpeg", "instances": [FILE["b64"]]}, "Unknown image file format"),
        ({"signature_name": "serving_jpeg", "instances": [{"b64": "AAAA"}]}, "Unknown image file format"),
        ({"instances": []}, "No values in 'instances' array"),
    ],
)
def test_what_is_refused_has_the_message_of_the_page(server: str, body: object, message: str) -> None:
    status, answer = ask(f"{server}/v1/models/vit:predict", body)
    assert status == 400
    assert message in answer["error"]
    assert message in (ROOT / "docs/serving.md").read_text(encoding="utf-8") or "instances" in message


@contextmanager
def without_xla() -> Iterator[None]:
    """Disables XLA's compiler as the server's main() does unless it has the flag --xla_cpu_compilation_enabled=true."""
    library = ctypes.CDLL(str(find_library()))
    library._ZN10tensorflow21DisableXlaCompilationEv()  # tensorflow::DisableXlaCompilation()
    try:
        yield
    finally:
        library._ZN10tensorflow20EnableXlaCompilationEv()


def test_without_xla_the_plain_twin_answers_and_the_module_does_not(published: Path, tmp_path: Path) -> None:
    from pipeline.translate.saved_models import write_plain

    module = published / "artifacts/mini/classification"
    shutil.copytree(module, tmp_path / "module/1")
    write_plain(module, tmp_path / "twin/1")
    files = {"encoded": np.array([png.encode(np.tile(PIXELS, (5, 6, 1)))], object)}
    with load_models(tmp_path) as models:
        with without_xla():
            of_twin = models["twin"].run("serving_classify", files)
            with pytest.raises(CApiError, match="XLA compilation disabled"):
                models["module"].run("serving_classify", files)
        of_module = models["module"].run("serving_classify", files)
    np.testing.assert_allclose(of_twin["logits"], of_module["logits"], atol=1e-5 * np.abs(of_module["logits"]).max())
    assert of_twin["top_classes"].tolist() == of_module["top_classes"].tolist()
