"""Loading checkpoints: which files are accepted, and how each kind of mismatch is refused."""

import re
import resource
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from benchmarks.random_checkpoints import random_arrays
from pipeline.base.fault import Fault
from pipeline.checkpoints import npz
from pipeline.model.networks import open_network
from pipeline.model.parameters import release_memory
from pipeline.model.section import Model

pytestmark = pytest.mark.slow

MINI = Model("Mini/8", 16, 3)


def load(path: Path, model: Model) -> npz.Arrays:
    return npz.load(path, open_network(model, path.parent)).arrays


def save(path: Path, arrays: dict[str, Any]) -> Path:
    np.savez(path, **arrays)
    return path


def refuse(tmp_path: Path, arrays: dict[str, Any], model: Model = MINI) -> str:
    path = save(tmp_path / "a.npz", arrays)
    with pytest.raises(Fault) as raised:
        load(path, model)
    assert str(raised.value).startswith(str(path))
    return str(raised.value)


def test_arrays_come_back_bit_for_bit(tmp_path: Path) -> None:
    arrays = random_arrays(MINI)
    loaded = load(save(tmp_path / "a.npz", arrays), MINI)
    assert list(loaded) == sorted(arrays)
    for name, value in arrays.items():
        np.testing.assert_array_equal(loaded[name], value)


def test_a_compressed_file_holds_the_same_arrays(tmp_path: Path) -> None:
    arrays = random_arrays(MINI)
    np.savez_compressed(tmp_path / "a.npz", allow_pickle=False, **arrays)
    for name, value in load(tmp_path / "a.npz", MINI).items():
        np.testing.assert_array_equal(value, arrays[name])


def test_arrays_stored_by_columns_are_the_same_arrays(tmp_path: Path) -> None:
    arrays = random_arrays(MINI)
    arrays["head/kernel"] = np.asfortranarray(arrays["head/kernel"])
    loaded = load(save(tmp_path / "a.npz", arrays), MINI)
    np.testing.assert_array_equal(loaded["head/kernel"], arrays["head/kernel"])


def test_hybrids_group_norms_lose_their_empty_axes(tmp_path: Path) -> None:
    model = Model("R+Ti/16", 32, 3)
    arrays = random_arrays(model)
    assert arrays["gn_root/scale"].shape == (1, 1, 1, 64)
    loaded = load(save(tmp_path / "a.npz", arrays), model)
    assert loaded["gn_root/scale"].shape == (64,)
    assert loaded["gn_root/scale"].tobytes() == arrays["gn_root/scale"].tobytes()


def test_an_empty_pre_logits_means_none(tmp_path: Path) -> None:
    arrays = random_arrays(MINI) | {"pre_logits": np.zeros(0, np.float32)}
    assert "pre_logits" not in load(save(tmp_path / "a.npz", arrays), MINI)


def test_a_pre_logits_layer_is_refused_where_the_section_has_none(tmp_path: Path) -> None:
    arrays = random_arrays(MINI) | {"pre_logits/bias": np.zeros(64, np.float32)}
    assert refuse(tmp_path, arrays).endswith("- missing, + extra:\n  + pre_logits/bias (64,)")


def test_mismatches_are_listed_on_both_sides(tmp_path: Path) -> None:
    arrays = random_arrays(MINI)
    arrays["extra/kernel"] = arrays.pop("cls")
    arrays["head/bias"] = np.zeros(4, np.float32)
    message = refuse(tmp_path, arrays)
    assert "does not fit variant Mini/8 with 16 pixels and 3 classes" in message
    assert "  - cls (1, 1, 64)" in message
    assert "  + extra/kernel (1, 1, 64)" in message
    assert "  head/bias: expected (3,), got (4,)" in message


@pytest.mark.parametrize(
    ("made", "asked", "guess"),
    [
        (Model("Mini/4", 28, 10), MINI, "Mini/4 with 28 pixels and 10 classes"),
        (Model("R+Ti/16", 32, 3), Model("Ti/16", 32, 3), "R+Ti/16 with 32 pixels and 3 classes"),
        (Model("Ti/16", 32, 3), Model("S/16", 32, 3), "Ti/16 with 32 pixels and 3 classes"),
    ],
)
def test_wrong_variant_names_the_likely_one(tmp_path: Path, made: Model, asked: Model, guess: str) -> None:
    message = refuse(tmp_path, random_arrays(made), asked)
    assert f"its arrays look like {guess}" in message
    assert message.count("\n") < 45  # the lists are cut


def test_a_missing_head_is_named(tmp_path: Path) -> None:
    arrays = {name: value for name, value in random_arrays(MINI).items() if not name.startswith("head/")}
    assert "its arrays look like Mini/8 with 16 pixels and no head" in refuse(tmp_path, arrays)


def test_pickle_is_refused_unread(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "sprung",))

    message = refuse(tmp_path, random_arrays(MINI) | {"cls": np.array([Trap()], dtype=object)})
    assert "the array 'cls' is a pickle" in message
    assert not (tmp_path / "sprung").exists()


def test_a_tree_saved_as_one_pickle_is_sent_to_flatten_dict(tmp_path: Path) -> None:
    assert "np.savez(path, **flatten_dict(params, sep='/'))" in refuse(
        tmp_path, {"arr_0": np.array({"cls": 1}, object)}
    )


def test_arrays_of_another_program_are_called_that_and_not_listed(tmp_path: Path) -> None:
    message = refuse(tmp_path, {"dist_token": np.zeros(3, np.float32)} | random_arrays(MINI))
    assert "by its names, such as 'dist_token', it holds a DeiT with distillation; " in message
    assert "section model" not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            np.float16,
            "is float16, expected float32; save the arrays again with .astype(numpy.float32), which changes no",
        ),
        (ml_dtypes.bfloat16, "is |V2, expected float32; which is how NumPy reads bfloat16: view them as ml_dtypes"),
        (np.uint16, "is uint16, expected float32; if they are the bits of bfloat16, view them as ml_dtypes"),
        (np.int8, "is int8, expected float32; quantized weights cannot be restored: name the file that they"),
        (np.float64, "is float64, expected float32; save the arrays again with .astype(numpy.float32), which r"),
        (np.complex64, "is complex64, expected float32"),
    ],
)
def test_smaller_types_say_how_to_widen_them(tmp_path: Path, kind: Any, message: str) -> None:
    arrays = {name: value.astype(kind) for name, value in random_arrays(MINI).items()}
    assert f"the array 'Transformer/encoder_norm/bias' {message}" in refuse(tmp_path, arrays)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    arrays = random_arrays(MINI)
    arrays["head/bias"][1] = value
    assert "1 of 3 values of 'head/bias' are NaN or infinite" in refuse(tmp_path, arrays)


def test_a_head_that_was_never_trained_is_refused(tmp_path: Path) -> None:
    """Upstream starts fine-tuning with a zero head; the bias may have a start value."""
    arrays = random_arrays(MINI)
    arrays["head/kernel"][:] = 0
    assert "'head/kernel' is all zero, so that every image has the same logits" in refuse(tmp_path, arrays)


def test_other_types_are_refused(tmp_path: Path) -> None:
    arrays = random_arrays(MINI)
    arrays["head/bias"] = arrays["head/bias"].astype(np.float64)
    assert "the array 'head/bias' is float64, expected float32" in refuse(tmp_path, arrays)


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", random_arrays(MINI))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(Fault, match=r"a\.npz: not a whole \.npz file"):
        load(path, MINI)


def test_damage_inside_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", random_arrays(MINI))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(Fault, match=r"a\.npz: not a whole \.npz file \(Bad CRC-32"):
        load(path, MINI)


def test_a_directory_that_points_elsewhere_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", random_arrays(MINI))
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")  # in the central directory; the local header's place is at byte 42
    content[entry + 42 : entry + 46] = (len(content) - 28).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(Fault, match=r"a\.npz: not a whole \.npz file"):
        load(path, MINI)


def test_damage_inside_a_compressed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, allow_pickle=False, **random_arrays(MINI))
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 50] = bytes(50)
    path.write_bytes(content)
    with pytest.raises(Fault, match=r"a\.npz: not a whole \.npz file"):
        load(path, MINI)


def test_entries_that_are_no_arrays_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", random_arrays(MINI))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("notes.txt", "hello")
    with pytest.raises(Fault, match=r"the entry 'notes\.txt' is no array"):
        load(path, MINI)


def test_an_npy_file_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(Fault, match=r"a\.npz: it is an \.npy file, a single array, expected an \.npz"):
        load(tmp_path / "a.npz", MINI)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="no such checkpoint; run make fetch first"):
        load(tmp_path / "a.npz", MINI)


def resident(path: Path) -> int:
    """Returns how many bytes of a mapped file this process holds in memory (proc(5), smaps)."""
    mappings = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text(), flags=re.MULTILINE)
    of_the_file = [mapping for mapping in mappings if mapping.partition("\n")[0].endswith(str(path))]
    return sum(int(size) * 1024 for text in of_the_file for size in re.findall(r"^Rss: +(\d+) kB", text, re.MULTILINE))


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="reads Linux' /proc")
def test_a_mapped_array_needs_memory_only_while_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "large.npz"
    written = np.arange(16_000_000, dtype=np.float32)  # 64 MB
    np.savez(path, allow_pickle=False, large=written)
    arrays = npz.read(path)
    assert resident(path) < 10_000_000  # though its checksum was computed
    np.testing.assert_array_equal(arrays["large"], written)
    assert resident(path) > 10_000_000  # all 64 MB, but for what the kernel already took back
    release_memory([arrays["large"].reshape(4, -1), written, None])
    assert resident(path) < 10_000_000
    np.testing.assert_array_equal(arrays["large"], written)


def test_releasing_an_array_keeps_the_others_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "two.npz"
    written = np.arange(8_000_000, dtype=np.float32)  # 32 MB
    np.savez(path, allow_pickle=False, a=written, b=written + 1)
    arrays = npz.read(path)
    assert arrays["a"][::1024].sum() < arrays["b"][::1024].sum()  # touches every page
    release_memory([arrays["a"]])
    np.testing.assert_array_equal(arrays["b"], written + 1)
    assert 25_000_000 < resident(path) < 45_000_000
    np.testing.assert_array_equal(arrays["a"], written)


def test_a_file_of_many_arrays_needs_few_descriptors(tmp_path: Path) -> None:
    """The largest hybrid has 551 arrays; `ulimit -n` is 256 on macOS."""
    save(tmp_path / "a.npz", {f"a{number}": np.full(3, number, np.float32) for number in range(600)})
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/dev/fd").iterdir())) + 8, before[1]))
    try:
        arrays = npz.read(tmp_path / "a.npz")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert [arrays[f"a{number}"][2] for number in range(600)] == list(range(600))


def test_shapes_are_compared_before_values_are_read(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", random_arrays(MINI) | {"extra": np.zeros(5_000_000, np.float32)})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") - 1_000_000] ^= 1  # damages the last array's values
    path.write_bytes(content)
    with pytest.raises(Fault, match=r"does not fit variant Mini/8 .*\n  \+ extra \(5000000,\)$"):
        load(path, MINI)
    with pytest.raises(Fault, match="Bad CRC-32: the array 'extra' is damaged"):
        npz.read(path)


def test_shapes_that_no_model_has_are_refused(tmp_path: Path) -> None:
    arrays = random_arrays(MINI)
    arrays["Transformer/posembed_input/pos_embedding"] = np.zeros((1, 0, 64), np.float32)
    assert "expected (1, 5, 64), got (1, 0, 64)" in refuse(tmp_path, arrays)


def test_names_of_a_stranger_are_shortened(tmp_path: Path) -> None:
    message = refuse(tmp_path, random_arrays(MINI) | {"a" * 1000: np.zeros(3, np.float32)})
    assert f"  + {'a' * 80}...{'a' * 17} (3,)" in message
