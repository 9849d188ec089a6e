"""timm's files: converted back exactly, their variant identified, and other files refused.

tests/data/timm holds checkpoints that timm itself converted (python -m benchmarks.layout_round_trips --record).
"""

import json
import lzma
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from benchmarks.layout_round_trips import VARIANTS, counting_arrays, differences, import_arrays
from benchmarks.random_checkpoints import stored_shapes
from pipeline.base.fault import Fault
from pipeline.checkpoints import npz
from pipeline.model.layouts import Tensor, find_layout
from pipeline.model.networks import open_network
from pipeline.model.section import Model
from pipeline.model.vit.timm_layout import layout
from pipeline.model.vit.variants import SIZES, variant

pytestmark = pytest.mark.slow

DATA = Path(__file__).parents[1] / "data/timm"
FILES = json.loads((DATA / "files.json").read_text())
MINI = Model("Mini/8", 16, 3)
LAYOUT = "it has the layout of timm, but "
Arrays = dict[str, Any]


def tensors_of(name: str, tokens: int, classes: int | None) -> dict[str, Tensor]:
    width = variant(name).width
    return layout(name, (1, tokens, width), True, None if classes is None else (classes, width))


def timm_arrays(name: str = "Mini/8", tokens: int = 5, classes: int | None = 3) -> Arrays:
    """Returns zeros for every tensor of timm's model, for tests that only look at names, shapes and types."""
    return {tensor: np.zeros(one.shape, np.float32) for tensor, one in tensors_of(name, tokens, classes).items()}


def save(path: Path, arrays: Arrays) -> Path:
    save_file(arrays, path)
    return path


def refuse(path: Path) -> str:
    with pytest.raises(Fault) as raised:
        import_arrays(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)
    return str(raised.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("facts", FILES, ids=[facts["file"] for facts in FILES])
def test_a_checkpoint_that_timm_converted_comes_back_byte_for_byte(facts: dict[str, Any], tmp_path: Path) -> None:
    model = Model(facts["variant"], facts["image_size"], facts["classes"])
    path = tmp_path / "model.safetensors"
    path.write_bytes(lzma.decompress((DATA / facts["file"]).read_bytes()))
    original = tmp_path / "original.npz"
    np.savez(original, allow_pickle=False, **counting_arrays(model))
    arrays = import_arrays(path)
    assert differences(original, arrays) == []
    assert list(arrays) == sorted(arrays)
    npz.fit(arrays, open_network(model, path), path)


def test_a_difference_is_seen(tmp_path: Path) -> None:
    """The test above relies on it: each kind of difference gives a line."""
    arrays = counting_arrays(MINI)
    np.savez(tmp_path / "a.npz", allow_pickle=False, pre_logits=np.zeros(0, np.float32), **arrays)
    assert differences(tmp_path / "a.npz", arrays) == []
    kernel = "Transformer/encoderblock_2/MultiHeadDotProductAttention_1/query/kernel"
    changed = arrays | {
        "cls": -arrays["cls"],
        "head/bias": arrays["head/bias"].astype(np.float64),
        "head/kernel": np.asfortranarray(arrays["head/kernel"]),
        kernel: arrays[kernel].reshape(64, 64),
        "more": np.zeros(1, np.float32),
    }
    del changed["embedding/bias"]
    assert differences(tmp_path / "a.npz", changed) == [
        "embedding/bias: missing on one side",
        "more: missing on one side",
        f"{kernel}: float32 (64, 64), expected float32 (64, 4, 16)",
        "cls: different bytes",
        "head/bias: float64 (3,), expected float32 (3,)",
        "head/kernel: different bytes",
    ]


def test_no_two_values_of_a_counting_checkpoint_are_equal() -> None:
    values = np.concatenate([value.ravel() for value in counting_arrays(MINI).values()])
    assert np.isfinite(values).all()
    assert len(np.unique(values)) == len(values)


@pytest.mark.parametrize(
    ("name", "size"),
    [*((name, 224) for name in (*VARIANTS, "Mini/8", "H/14")), ("S/16", 384), ("R+Ti/16", 384), ("R26+S/32", 384)],
)
def test_every_variant_is_identified_and_gives_the_arrays_of_the_model(name: str, size: int) -> None:
    tokens = 1 + (size // variant(name).stride) ** 2
    tensors = tensors_of(name, tokens, 10)
    found = find_layout({tensor: one.shape for tensor, one in tensors.items()})
    assert found
    assert found.program == "timm"
    given = {path: one.ours for one in found.tensors.values() for path in one.names}
    assert given == stored_shapes(Model(name, size, 10))
    for one in tensors.values():
        assert np.prod(one.shape) == len(one.names) * np.prod(one.ours)


def test_sizes_differ_in_width_and_layers() -> None:
    assert len({(width, layers) for width, layers, _, _ in SIZES.values()}) == len(SIZES)


def test_a_model_without_a_head_gives_no_head(tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", timm_arrays(classes=None))
    arrays = import_arrays(path)
    assert not [name for name in arrays if name.startswith(("head", "pre_logits"))]
    with pytest.raises(Fault, match="its arrays look like Mini/8 with 16 pixels and no head"):
        npz.fit(arrays, open_network(MINI, path), path)


def test_nan_is_refused_by_npz_fit(tmp_path: Path) -> None:
    arrays = timm_arrays()
    arrays["blocks.3.attn.qkv.bias"][70] = np.nan  # the seventh of the second head's key
    path = save(tmp_path / "a.safetensors", arrays)
    key = "Transformer/encoderblock_3/MultiHeadDotProductAttention_1/key/bias"
    assert np.argwhere(np.isnan(import_arrays(path)[key])).tolist() == [[0, 6]]
    with pytest.raises(Fault, match=f"1 of 64 values of '{key}' are NaN or infinite"):
        npz.fit(import_arrays(path), open_network(MINI, path), path)


def test_a_copy_of_another_resolution_is_resized_by_npz_fit(tmp_path: Path) -> None:
    arrays = timm_arrays(tokens=17)
    path = save(tmp_path / "a.safetensors", arrays | {"head.weight": arrays["head.weight"] + 1})
    assert npz.fit(import_arrays(path), open_network(MINI, path), path).image_size == 32


def test_the_same_arrays_make_the_same_npz_at_any_time(tmp_path: Path) -> None:
    """NumPy dates the entries of its archives 1980-01-01, which keeps the digest of the file."""
    arrays = import_arrays(save(tmp_path / "a.safetensors", timm_arrays()))
    np.savez(tmp_path / "a.npz", allow_pickle=False, **arrays)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.namelist() == [f"{name}.npy" for name in sorted(arrays)]


def test_reading_timms_files_imports_neither_jax_nor_tensorflow() -> None:
    heavy = "{'jax', 'flax', 'tensorflow', 'torch'}"
    modules = "pipeline.fetch, pipeline.checkpoints.containers.safetensors, pipeline.checkpoints.containers.orbax"
    code = f"import sys, {modules}; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=DATA.parents[2], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("extra", "shape", "listed"),
    [
        ("blocks.5.attn.q_norm.weight", (16,), "blocks.5.attn.q_norm.weight"),
        ("fc_norm.weight", (64,), "fc_norm.weight"),
    ],
)
def test_unknown_tensors_are_refused(extra: str, shape: tuple[int, ...], listed: str, tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", timm_arrays() | {extra: np.zeros(shape, np.float32)})
    assert refuse(path) == (f"{LAYOUT}is another model than a Vision Transformer Mini/8, which does not have {listed}")


@pytest.mark.parametrize(
    ("prefix", "extra", "message"),
    [
        ("", "blocks.0.ls1.gamma", "by its names, such as 'blocks.0.ls1.gamma', it holds a model with LayerScale"),
        ("", "dist_token", "by its names, such as 'dist_token', it holds a DeiT with distillation"),
        (
            "module.",
            "module.norm.more",
            "is another model than a Vision Transformer Mini/8, which does not have norm.m",
        ),
    ],
)
def test_tensors_of_others_are_called_that(prefix: str, extra: str, message: str, tmp_path: Path) -> None:
    arrays = {f"{prefix}{name}": value for name, value in timm_arrays().items()} | {extra: np.zeros(64, np.float32)}
    assert message in refuse(save(tmp_path / "a.safetensors", arrays))


def test_of_many_unknown_tensors_some_are_named(tmp_path: Path) -> None:
    extra = {f"blocks.{number}.attn.q_norm.bias": np.zeros(64, np.float32) for number in range(6)}
    message = refuse(save(tmp_path / "a.safetensors", timm_arrays() | extra))
    assert "which does not have blocks.0.attn.q_norm.bias, " in message
    assert message.endswith("blocks.4.attn.q_norm.bias and 1 more")


@pytest.mark.parametrize(
    "lost", ["norm.bias", "blocks.0.attn.qkv.bias", "blocks.5.mlp.fc2.weight", "head.weight", "head.bias"]
)
def test_missing_tensors_are_refused(lost: str, tmp_path: Path) -> None:
    arrays = timm_arrays()
    del arrays[lost]
    message = refuse(save(tmp_path / "a.safetensors", arrays))
    assert message == f"it has the layout of timm, but lacks {lost} of a Vision Transformer Mini/8"


@pytest.mark.parametrize(
    ("changed", "shape", "expected"),
    [
        ("head.bias", (4,), (3,)),
        ("blocks.1.mlp.fc1.weight", (192, 64), (256, 64)),
        ("blocks.1.attn.qkv.weight", (64, 192), (192, 64)),
        ("norm.weight", (1, 64), (64,)),
        ("pos_embed", (2, 5, 64), (1, 5, 64)),
        ("patch_embed.proj.weight", (64, 1, 8, 8), (64, 3, 8, 8)),
        ("patch_embed.proj.weight", (64, 3, 4, 8), (64, 3, 8, 8)),
    ],
)
def test_other_shapes_are_refused(
    changed: str, shape: tuple[int, ...], expected: tuple[int, ...], tmp_path: Path
) -> None:
    path = save(tmp_path / "a.safetensors", timm_arrays() | {changed: np.zeros(shape, np.float32)})
    assert refuse(path) == (
        f"it has the layout of timm, but has {changed!r} in the shape {shape}, expected {expected} in a Vision"
        " Transformer Mini/8"
    )


@pytest.mark.parametrize("tokens", [0, 3, 6])
def test_a_grid_that_is_no_square_is_refused(tokens: int, tmp_path: Path) -> None:
    arrays = timm_arrays() | {"pos_embed": np.zeros((1, tokens, 64), np.float32)}
    path = save(tmp_path / "a.safetensors", arrays)
    message = f"pos_embed has {tokens} tokens, expected a class token and a square of patches"
    assert refuse(path) == f"it has the layout of timm, but {message}"


@pytest.mark.parametrize(
    ("type_", "message"),
    [
        (np.float64, "is float64, expected float32; save the arrays again with .astype(numpy.float32), which rounds"),
        (np.int64, "is int64, expected float32"),
        (ml_dtypes.float8_e4m3fn, "is F8_E4M3, expected float32"),
    ],
)
def test_other_types_are_refused(type_: Any, message: str, tmp_path: Path) -> None:
    arrays = timm_arrays()
    path = save(tmp_path / "a.safetensors", arrays | {"norm.bias": arrays["norm.bias"].astype(type_)})
    assert refuse(path).startswith(f"the array 'norm.bias' {message}")


def without(part: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {name: value for name, value in arrays.items() if not name.startswith(part)}


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("Mini/8", without("blocks.5."), f"{LAYOUT}its 5 encoder blocks of width 64 are none of the variants Nano/8, "),
        ("Mini/8", without("pos_embed"), f"{LAYOUT}lacks pos_embed of 3 axes"),
        (
            "R26+S/32",
            without("patch_embed.backbone.stages.3.blocks.1."),
            f"{LAYOUT}its 12 encoder blocks of width 384 after a ResNet whose stages have (2, 2, 2, 1) units are none"
            " of the variants R+Nano/32, R+Ti/16, ",
        ),
        (
            "R26+S/32",
            without("patch_embed.backbone.stages."),
            f"{LAYOUT}its 12 encoder blocks of width 384 after a ResNet whose stages have () units are none of the",
        ),
        ("Mini/8", without("cls_token"), f"{LAYOUT}pos_embed has 5 tokens, expected a square of patches"),
        (
            "Mini/8",
            lambda _: {"fc.weight": np.zeros(1, np.float32)},
            "its 1 arrays are of no known layout by their name",
        ),
        ("Mini/8", lambda _: {}, "its 0 arrays are of no known layout by their names; docs/members.md, "),
    ],
)
def test_other_models_are_refused(name: str, change: Callable[[Arrays], Arrays], message: str, tmp_path: Path) -> None:
    assert refuse(save(tmp_path / "a.safetensors", change(timm_arrays(name)))).startswith(message)


def test_patches_without_pixels_are_refused(tmp_path: Path) -> None:
    arrays = timm_arrays() | {"patch_embed.proj.weight": np.zeros((64, 3, 0, 0), np.float32)}
    assert refuse(save(tmp_path / "a.safetensors", arrays)).startswith(
        f"{LAYOUT}embeds its patches by an array of the s"
    )


def test_a_hybrids_root_is_not_a_backbone_with_stages(tmp_path: Path) -> None:
    arrays = timm_arrays("R+Ti/16")
    arrays["patch_embed.backbone.stem.conv.weight"] = arrays.pop("patch_embed.backbone.conv.weight")
    message = refuse(save(tmp_path / "a.safetensors", arrays))
    assert "R+Ti/16, which does not have patch_embed.backbone.stem.conv.weight" in message


@pytest.mark.parametrize("tenth", range(1, 10))
def test_a_file_cut_anywhere_is_refused(tenth: int, tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", timm_arrays())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * tenth // 10])
    message = refuse(path)
    assert message.startswith("not a whole safetensors file (")
    assert message.endswith("); it is truncated or something else; download it again")


def test_more_bytes_than_the_tensors_have_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", timm_arrays())
    path.write_bytes(path.read_bytes() + b"\0")
    assert refuse(path).startswith("not a whole safetensors file (")


def test_bfloat16_is_read_in_a_process_that_has_imported_nothing_else(tmp_path: Path) -> None:
    """NumPy knows the name bfloat16 only where ml_dtypes was imported, as this file does."""
    path = tmp_path / "model.safetensors"
    save_file({"a": np.array([1.5, -2], ml_dtypes.bfloat16)}, path)
    code = (
        "import pathlib, sys; from pipeline.checkpoints.containers.safetensors import SafetensorsWeights as Weights\n"
        "print(Weights(pathlib.Path(sys.argv[1]), '').read_float32('a').tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[1.5, -2.0]\n", "")
