"""A module of a network with state: nothing of it can be trained, and it says so."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipeline.base.heads import Head
from pipeline.checkpoints import npz
from pipeline.model.networks import open_network
from pipeline.model.section import Model
from pipeline.saved_model import build, selftest

pytestmark = pytest.mark.slow

NETWORK = """\
class MyNet:
    state_prefixes = ("state/",)

    def __init__(self, image_size, classes, dropout):
        pass

    def features(self, params, images, train, rngs):
        return images.mean(axis=(1, 2)) * params["scale"] - params["state"]["mean"]

    def head(self, params, features):
        return features @ params["head"]["kernel"]
"""


def test_a_frozen_module_computes_and_refuses_to_train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.py").write_text(NETWORK)
    kernel = np.arange(12, dtype=np.float32).reshape(3, 4)
    scale, mean = np.array([1, 2, 3], np.float32), np.array([3, 2, 1], np.float32)
    weights = {"scale": scale, "state/mean": mean, "head/kernel": kernel}
    np.savez(tmp_path / "m.npz", allow_pickle=False, **weights)
    network = open_network(Model("tiny", 2, 4, architecture="net.py:MyNet"), tmp_path)
    arrays = npz.load(tmp_path / "m.npz", network).arrays
    variables = {name: tf.Variable(value, name=name, trainable=False) for name, value in arrays.items()}
    tf.saved_model.save(build.build(network, Head.CLASSIFICATION, variables).module, str(tmp_path / "module"))

    module = tf.saved_model.load(str(tmp_path / "module"))
    images = np.ones((2, 2, 2, 3), np.float32)
    expected = (scale - mean) @ kernel
    assert np.allclose(module(images), [expected] * 2)
    assert len(module.variables) == 3
    assert not module.trainable_variables
    assert not any(variable.trainable for variable in module.variables)
    for call in (lambda: module(images, training=True), lambda: module.train(images)):
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            call()
        assert "This module cannot be trained: the network has state beside its parameters (state/...)" in str(
            caught.value
        )
    assert selftest.report_gradients(module, np.zeros((1, 2, 2, 3), np.uint8))
    assert capsys.readouterr().out == "gradients: not checked: the module has no trainable variables\n"
