"""The snippets of docs/members.md convert the checkpoints of other programs, each written by its own writer."""

import re
import textwrap
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from benchmarks.random_checkpoints import random_arrays
from pipeline.base.fault import Fault
from pipeline.checkpoints import npz
from pipeline.model.networks import open_network
from pipeline.model.section import Model
from pipeline.model.vit.variants import variant
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

MINI = Model("Mini/8", 16, 3)
NETWORK = open_network(MINI, ROOT)
SNIPPETS = re.findall(r"^  ```python\n(.*?)^  ```$", (ROOT / "docs/members.md").read_text(), re.MULTILINE | re.DOTALL)
MSGPACK, PREFIX, WIDEN, BIG_VISION, TORCH = map(textwrap.dedent, SNIPPETS)


def save(path: Path, arrays: dict[str, Any]) -> None:
    np.savez(path, **arrays)


def follow(snippet: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Runs a snippet of docs/members.md beside somebody's checkpoint; returns the arrays of the one it writes."""
    monkeypatch.chdir(folder)
    exec(compile(snippet, "docs/members.md", "exec"), {"__name__": "__main__"})
    return npz.load(folder / "mine.npz", NETWORK).arrays


def assert_same(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value)


def test_the_documented_snippets_convert_flax_and_prefixes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flax.serialization import msgpack_serialize
    from flax.traverse_util import unflatten_dict

    arrays = random_arrays(MINI)
    (tmp_path / "theirs.msgpack").write_bytes(msgpack_serialize({"params": unflatten_dict(arrays, sep="/")}))
    assert_same(follow(MSGPACK, tmp_path, monkeypatch), arrays)
    save(tmp_path / "theirs.npz", {f"params/{name}": arrays[name] for name in arrays} | {"step": np.array(1)})
    assert_same(follow(PREFIX, tmp_path, monkeypatch), arrays)


@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16])
def test_the_documented_snippet_widens_without_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    narrow = {name: value.astype(kind) for name, value in random_arrays(MINI).items()}
    save(tmp_path / "theirs.npz", narrow)
    wide = {name: value.astype(np.float32) for name, value in narrow.items()}
    assert_same(follow(WIDEN, tmp_path, monkeypatch), wide)


@pytest.mark.parametrize("is_stacked", [False, True])
def test_the_documented_snippet_renames_big_vision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_stacked: bool
) -> None:
    arrays = random_arrays(MINI)
    position = "Transformer/posembed_input/pos_embedding"
    arrays[position][:, 0] = 0  # big_vision adds positions to the patches alone
    theirs = big_vision_arrays(arrays, is_stacked) | {"pos_embedding": arrays[position][:, 1:]}
    save(tmp_path / "theirs.npz", theirs)
    with pytest.raises(Fault, match="it holds big_vision's weights"):
        npz.load(tmp_path / "theirs.npz", NETWORK)
    assert_same(follow(BIG_VISION, tmp_path, monkeypatch), arrays)


def big_vision_arrays(arrays: dict[str, np.ndarray], is_stacked: bool) -> dict[str, np.ndarray]:
    """Returns arrays under big_vision's names but for the positions, with those of all layers in one if stacked."""
    theirs = {}
    for name, value in arrays.items():
        for ours, new in (("Attention_1", "Attention_0"), ("LayerNorm_2", "LayerNorm_1"), ("MlpBlock_3", "MlpBlock_0")):
            name = name.replace(ours, new)
        theirs[name] = value
    del theirs["Transformer/posembed_input/pos_embedding"]
    if not is_stacked:
        return theirs
    rest = {name: value for name, value in theirs.items() if "/encoderblock_" not in name}
    names = [name.split("encoderblock_0/")[1] for name in theirs if "/encoderblock_0/" in name]
    for name in names:
        layers = [theirs[f"Transformer/encoderblock_{layer}/{name}"] for layer in range(variant("Mini/8").layers)]
        rest[f"Transformer/encoderblock/{name}"] = np.stack(layers)
    return rest


def test_the_documented_snippet_for_pytorch_opens_no_code() -> None:
    assert "weights_only=True" in TORCH
    compile(TORCH, "docs/members.md", "exec")  # PyTorch is no dependency
