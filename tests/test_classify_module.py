"""classify: the module whose predictions the shards are for. No TensorFlow: what loads it is given."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.accuracy.classify import Predict
from pipeline.base.fault import Fault
from pipeline.classify import load_unchanged
from pipeline.saved_model.files import folder_digest


@pytest.fixture
def module(tmp_path: Path) -> Path:
    (tmp_path / "module").mkdir()
    (tmp_path / "module/saved_model.pb").write_bytes(b"first")
    return tmp_path / "module"


def predict(inputs: np.ndarray) -> np.ndarray:
    return inputs


def test_the_digest_is_that_of_the_module_that_was_loaded(module: Path) -> None:
    assert load_unchanged(module, lambda _: predict) == (predict, folder_digest(module))


def test_a_module_that_is_converted_again_while_it_is_loaded_is_refused(module: Path) -> None:
    """Its predictions would be taken for those of the new one."""

    def load(folder: Path) -> Predict:
        (folder / "saved_model.pb").write_bytes(b"second")
        return predict

    with pytest.raises(Fault, match=r"module: the module changed while it was loaded, so no image is classified; run "):
        load_unchanged(module, load)


def test_a_folder_without_a_module_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"no saved_model\.pb; convert the member first"):
        load_unchanged(tmp_path, lambda _: pytest.fail("it was loaded"))
