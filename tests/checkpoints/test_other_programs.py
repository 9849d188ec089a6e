"""Checkpoints of other programs give the same arrays as upstream's .npz of the same weights, in any kind of file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from benchmarks.layout_round_trips import POSITION, big_vision_arrays, counting_arrays
from pipeline.base.fault import Fault
from pipeline.base.files import folder_digest
from pipeline.checkpoints import provenance
from pipeline.checkpoints.arrays_of import is_upstreams, plan_arrays, read_shapes
from pipeline.checkpoints.containers.opening import open_weights
from pipeline.checkpoints.section import Checkpoint
from pipeline.download.obtain import Access
from pipeline.model.section import Model
from pipeline.new import Request, collect_facts
from tests.fetch import fetching
from tests.snippets import blocks_of

pytestmark = pytest.mark.slow

MINI = Model("Mini/8", 16, 3)
ARRAYS = counting_arrays(MINI)
ARRAYS[POSITION][:, 0] = 0  # big_vision's class token has no position
Arrays = dict[str, Any]
SAVE, PYTORCH = blocks_of("docs/members.md")


def nest(arrays: Arrays) -> dict[str, Any]:
    from flax.traverse_util import unflatten_dict

    nested: dict[str, Any] = unflatten_dict(arrays, sep="/")
    return nested


def as_npz(path: Path, arrays: Arrays) -> Path:
    np.savez(path.with_suffix(".npz"), **arrays)
    return path.with_suffix(".npz")


def as_safetensors(path: Path, arrays: Arrays) -> Path:
    save_file(arrays, path.with_suffix(".safetensors"))
    return path.with_suffix(".safetensors")


def as_msgpack(path: Path, arrays: Arrays) -> Path:
    from flax.serialization import msgpack_serialize

    path.with_suffix(".msgpack").write_bytes(msgpack_serialize(nest(arrays)))
    return path.with_suffix(".msgpack")


def as_orbax(path: Path, arrays: Arrays) -> Path:
    """Writes as Orbax's users do."""
    import orbax.checkpoint

    checkpointer = orbax.checkpoint.StandardCheckpointer()
    checkpointer.save(path.absolute(), nest(arrays))
    checkpointer.wait_until_finished()
    checkpointer.close()
    return path


Writer = Callable[[Path, Arrays], Path]
FILES: dict[str, Writer] = {
    "npz": as_npz,
    "safetensors": as_safetensors,
    "msgpack": as_msgpack,
    "Orbax": as_orbax,
}


def read(path: Path, prefix: str | None = None, is_own: bool = False) -> tuple[Arrays, str]:
    """Returns a file's arrays as fetch writes them, and what records say of it."""
    with open_weights(path, path.name) as file:
        plan = plan_arrays(file, prefix, is_own)
        return plan.read(file), plan.describe(file.kind)


def refuse(path: Path, prefix: str | None = None) -> str:
    with pytest.raises(Fault) as raised:
        read(path, prefix)
    return str(raised.value).removeprefix(f"{path.name}: ")


def assert_same(got: Arrays, expected: Arrays) -> None:
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert (got[name].dtype, got[name].shape) == (np.float32, value.shape), name
        assert got[name].tobytes() == value.tobytes(), name


def below(prefix: str, arrays: Arrays) -> Arrays:
    return {prefix + name: value for name, value in arrays.items()}


@pytest.mark.parametrize("kind", FILES)
def test_every_kind_of_file_gives_the_same_arrays(kind: str, tmp_path: Path) -> None:
    path = FILES[kind](tmp_path / "theirs", below("params/", big_vision_arrays(ARRAYS, is_stacked=True)))
    arrays, what = read(path)
    assert_same(arrays, ARRAYS)
    assert what == f"big_vision {kind} below params/"


@pytest.mark.parametrize("prefix", ["", "params/", "opt/target/", "img/", "params/img/", "params/params/"])
@pytest.mark.parametrize("is_stacked", [None, False, True])
def test_any_prefix_and_names(prefix: str, is_stacked: bool | None, tmp_path: Path) -> None:
    theirs = ARRAYS if is_stacked is None else big_vision_arrays(ARRAYS, is_stacked)
    arrays, what = read(as_npz(tmp_path / "a", below(prefix, theirs)))
    assert_same(arrays, ARRAYS)
    assert what == f"{'' if is_stacked is None else 'big_vision '}npz{f' below {prefix}' if prefix else ''}"


def test_what_lies_beside_the_parameters_is_left_out(tmp_path: Path) -> None:
    texts = {"params/txt/Embed_0/embedding": np.zeros((9, 4), np.float32), "params/t": np.zeros(1, np.float32)}
    state = below("opt/0/mu/img/", ARRAYS) | below("opt/0/nu/img/", ARRAYS) | {"step": np.array(3)}
    assert_same(read(as_npz(tmp_path / "a", below("params/img/", ARRAYS) | texts | state))[0], ARRAYS)
    assert_same(read(as_npz(tmp_path / "b", ARRAYS | below("opt/0/mu/", ARRAYS)))[0], ARRAYS)


def test_of_two_models_the_yaml_file_chooses(tmp_path: Path) -> None:
    negative = {name: -value for name, value in ARRAYS.items()}
    path = as_npz(tmp_path / "a", below("params/", ARRAYS) | below("ema_params/", negative))
    assert refuse(path) == (
        "it holds 2 models, below 'ema_params/', 'params/'; choose one in the YAML file: checkpoint.prefix: <one of"
        " these>"
    )
    for setting in ("ema_params", "ema_params/"):
        assert_same(read(path, setting)[0], negative)
    shapes, models = read_shapes(path, "a", is_own=False)
    assert models == ["ema_params/", "params/"]
    assert shapes == {name: value.shape for name, value in ARRAYS.items()}
    assert refuse(path, "ema") == (
        "it has no arrays below checkpoint.prefix 'ema'; prefixes of whole models in it: 'ema_params/', 'params/'"
    )


def test_an_optimizers_state_is_no_model(tmp_path: Path) -> None:
    message = refuse(as_npz(tmp_path / "a", below("opt/0/mu/", ARRAYS)))
    assert message.startswith("it holds only the state of an optimizer, such as 'opt/0/mu/Transformer/encoder_norm/bia")


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize(("type_", "name"), [(np.float16, "float16"), (ml_dtypes.bfloat16, "bfloat16")])
def test_narrow_types_are_widened(kind: str, type_: Any, name: str, tmp_path: Path) -> None:
    narrow = {key: (1000 * (value - 1)).astype(type_) for key, value in ARRAYS.items()}
    narrow["cls"][0, 0, :4] = [-0.0, np.inf, 6e-8, -1.5]  # 6e-8 is subnormal in float16
    arrays, what = read(FILES[kind](tmp_path / "theirs", narrow))
    assert_same(arrays, {key: value.astype(np.float32) for key, value in narrow.items()})
    assert what.endswith(f", {name}")


@pytest.mark.parametrize("kind", FILES)
def test_new_pins_the_digest_that_fetch_accepts(kind: str, tmp_path: Path) -> None:
    path = FILES[kind](tmp_path / "theirs", ARRAYS)
    origin = collect_facts(Request("a", "b", str(path)), tmp_path / "cards", Access(tmp_path / "cache")).origin
    assert origin
    assert origin.sha256
    out = tmp_path / "checkpoint.npz"
    fetching.run(Checkpoint("theirs", (str(path),), origin.sha256), tmp_path, out)
    assert provenance.read(out).verification == "pinned"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"Transformer/encoderblock_2/LayerNorm_1/bias": None},
            "lacks Transformer/encoderblock_2/LayerNorm_1/bias of a",
        ),
        (
            {"Transformer/encoderblock_2/x": np.zeros(1, np.float32)},
            "is another model than a Vision Transformer, which ",
        ),
        (
            {"head2/kernel": np.zeros(1, np.float32)},
            "is another model than a Vision Transformer, which does not have hea",
        ),
        ({"pos_embedding": np.zeros((1, 5, 64), np.float32)}, None),  # with a row for the class token
        (
            {"pos_embedding": np.zeros((1, 6, 64), np.float32)},
            "pos_embedding has 6 tokens, expected a class token and a",
        ),
        (
            {"Transformer/encoderblock_0/MlpBlock_0/Dense_0/bias": np.zeros(9, np.float32)},
            "has 'Transformer/encoderbloc",
        ),
    ],
)
def test_what_is_off_is_said(change: Arrays, message: str | None, tmp_path: Path) -> None:
    theirs = big_vision_arrays(ARRAYS) | change
    path = as_npz(tmp_path / "a", {name: value for name, value in theirs.items() if value is not None})
    if message is None:
        assert read(path)[0][POSITION].shape == (1, 5, 64)
    else:
        assert refuse(path).startswith(f"it has the layout of big_vision, but {message}")


def test_fixed_positions_and_pooling_by_the_mean_need_no_arrays(tmp_path: Path) -> None:
    theirs = {name: value for name, value in ARRAYS.items() if name not in ("cls", POSITION)}
    assert_same(read(as_npz(tmp_path / "a", big_vision_arrays(theirs)))[0], theirs)


def test_shapes_are_told_without_values(tmp_path: Path) -> None:
    path = as_npz(tmp_path / "a", below("params/", big_vision_arrays(ARRAYS, is_stacked=True)))
    assert read_shapes(path, "a", is_own=False) == ({name: value.shape for name, value in sorted(ARRAYS.items())}, [])


def test_upstreams_files_are_copied_and_others_converted(tmp_path: Path) -> None:
    for arrays, expected in (
        (ARRAYS, True),
        (ARRAYS | {"pre_logits": np.zeros(0, np.float32)}, True),
        (below("params/", ARRAYS), False),
        (ARRAYS | {"cls": ARRAYS["cls"].astype(np.float16)}, False),
        (big_vision_arrays(ARRAYS), False),
    ):
        with open_weights(as_npz(tmp_path / "a", arrays), "a") as file:
            assert is_upstreams(file, plan_arrays(file, None, is_own=False)) is expected


def test_arrays_of_a_network_of_ones_own_keep_their_names(tmp_path: Path) -> None:
    theirs = below("params/", big_vision_arrays(ARRAYS)) | {"batch_stats/mean": np.ones(2, np.float32)}
    assert_same(read(as_msgpack(tmp_path / "a", theirs), is_own=True)[0], theirs)


def test_fetch_converts_and_records(tmp_path: Path) -> None:
    narrow = {name: value.astype(np.float16) for name, value in ARRAYS.items()}
    folder = as_orbax(tmp_path / "step 1%20#?", below("params/", narrow))
    out = tmp_path / "m/checkpoint.npz"
    fetching.run(Checkpoint("tiny", (folder.name,)), tmp_path, out)
    known = provenance.read(out)
    assert known.converted_from == "Orbax below params/, float16"
    assert known.source == folder.name
    fetching.run(Checkpoint("tiny", (folder.name,), known.source_sha256), tmp_path, out)
    assert provenance.read(out).verification == "pinned"
    as_npz(tmp_path / "plain", {name: value.astype(np.float32) for name, value in narrow.items()})
    fetching.run(Checkpoint("tiny", ("plain.npz",)), tmp_path, out)
    assert (provenance.read(out).arrays_sha256, provenance.read(out).converted_from) == (known.arrays_sha256, None)


def as_plain_orbax(path: Path, arrays: Arrays) -> Path:
    """Writes each piece of an array as a file of its own."""
    import orbax.checkpoint

    orbax.checkpoint.Checkpointer(orbax.checkpoint.PyTreeCheckpointHandler(use_ocdbt=False)).save(path, nest(arrays))
    return path


def test_a_lost_piece_of_an_orbax_folder_is_not_read_as_zeros(tmp_path: Path) -> None:
    arrays = ARRAYS | {"head/bias": np.zeros(3, np.float32)}  # zeros are stored, too
    folder = as_plain_orbax(tmp_path / "step", arrays)
    assert_same(read(folder)[0], arrays)
    (folder / "head.kernel/0.0").unlink()
    assert refuse(folder).startswith("not a whole Orbax file")


def test_the_digest_of_an_orbax_folder_is_of_hidden_files_too(tmp_path: Path) -> None:
    """They say in which order values are, for one."""
    folder = as_plain_orbax(tmp_path / "step", ARRAYS)
    before = folder_digest(folder)
    description = folder / "head.kernel/.zarray"
    (folder / ".DS_Store").touch()
    assert folder_digest(folder) == before
    text = description.read_text()
    description.write_text(text.replace('"order":"C"', '"order":"F"'))
    assert description.read_text() != text
    assert folder_digest(folder) != before


def test_of_several_steps_one_must_be_named(tmp_path: Path) -> None:
    for step in ("1", "2"):
        (tmp_path / f"run/{step}/default").mkdir(parents=True)
        (tmp_path / f"run/{step}/_CHECKPOINT_METADATA").touch()
        (tmp_path / f"run/{step}/default/_METADATA").write_text(json.dumps({"tree_metadata": {}}))
    assert refuse(tmp_path / "run").endswith("it holds 2 checkpoints: 1/default/, 2/default/; name one")


def test_pickles_are_refused_with_the_way_out(tmp_path: Path) -> None:
    import pickle

    (tmp_path / "a.pth").write_bytes(pickle.dumps({"a": 1}))
    assert "which could run code, expected" in refuse(tmp_path / "a.pth")
    assert refuse(tmp_path / "a.pth").endswith("shows how to save its parameters in a file that is read")


def test_the_documented_snippet_for_pytorch_opens_no_code() -> None:
    assert "torch.load" in PYTORCH
    assert "weights_only=True" in PYTORCH
    compile(PYTORCH, "docs/members.md", "exec")  # PyTorch is no dependency


def test_the_documented_snippet_saves_the_parameters_of_flax(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(SAVE, {"params": nest(ARRAYS)})
    with np.load("mine.npz") as saved:
        assert {name: saved[name].tobytes() for name in saved.files} == {
            name: value.tobytes() for name, value in ARRAYS.items()
        }
