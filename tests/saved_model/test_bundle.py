"""What is found in the files of variables: cut, damaged and crafted indexes, and data files that are cut or missing."""

import shutil
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.saved_model import bundle
from pipeline.saved_model.bundle import INDEX, find_damage, read_entries
from pipeline.saved_model.graph import message_class
from tests.saved_model.bundles import Handle, Place, close_table, varints, write_block, write_index, write_table
from tests.saved_model.graphs import write_graph
from tests.saved_model.models import faults_of

DATA = "variables/variables.data-00000-of-00001"
HEADER = (0, b"", message_class("tensor_bundle", "BundleHeaderProto")(num_shards=1).SerializeToString())
PLACES = [Place(f"layer{number:03}/kernel".encode(), 40, 40 * number) for number in range(300)]


# Whole ----------------------------------------------------------------------------------------------------------------
def test_whole_files_have_no_fault() -> None:
    assert find_damage(write_index(PLACES), {DATA: 12_000}) == ""
    assert find_damage(write_index([]), {}) == ""  # a model without variables


def test_every_shard_that_is_used_is_needed() -> None:
    index = write_index([Place(b"a", 8), Place(b"b", 8, shard=2)], shards=4)
    first, third = (f"variables/variables.data-{number:05}-of-00004" for number in (0, 2))
    assert find_damage(index, {first: 8, third: 8}) == ""
    assert find_damage(index, {first: 8, third: None}) == ""  # of a link in an archive the size is unknown
    assert find_damage(index, {first: 8}).startswith(f"{third} is missing; get the whole model again")
    assert find_damage(index, {first: 8, third: 7}).startswith(f"{third} is cut short: expected 8 bytes, got 7; get ")


def test_partitioned_and_empty_variables_need_no_bytes() -> None:
    entry = message_class("tensor_bundle", "BundleEntryProto")
    partitioned = entry(shard_id=0, offset=99, size=99)
    partitioned.slices.add()
    values = (partitioned.SerializeToString(), entry(offset=64).SerializeToString())
    assert find_damage(write_table([HEADER, *((0, b"v", value) for value in values)]), {DATA: 0}) == ""


def test_nothing_is_said_of_compressed_indexes() -> None:
    assert find_damage(write_table([HEADER], kind=1), {}) == ""


# Read -----------------------------------------------------------------------------------------------------------------
def test_a_damaged_or_compressed_index_is_refused() -> None:
    with pytest.raises(Fault, match=r"^variables/variables.index \(9 bytes\) cannot be read: it does not end as an "):
        read_entries(b"too short")
    with pytest.raises(Fault, match="cannot be read: it is compressed; get the whole model again"):
        read_entries(write_table([(0, b"", b"")], kind=1))


def test_entries_have_whole_names() -> None:
    entries = read_entries(write_index(PLACES))
    assert list(entries) == ["", *(place.name.decode() for place in PLACES)]
    assert [entries[name].offset for name in list(entries)[1:]] == [place.offset for place in PLACES]


# Damaged --------------------------------------------------------------------------------------------------------------
def test_every_cut_and_every_wrong_byte_is_found() -> None:
    index = write_index(PLACES[:3])
    for size in range(len(index)):
        assert "is cut short or damaged: " in find_damage(index[:size], {DATA: 120}), size
    blocks = index.index(write_block([]))
    footer, handles = len(index) - 48, varints(blocks, 8)
    unread = {  # by TensorFlow too: the block of a filter, which is empty, its handle, and the footer's padding
        *range(blocks, blocks + len(write_block([]))),
        *range(footer, footer + len(handles)),
        *range(footer + len(index[footer:-8].rstrip(b"\0")), len(index) - 8),
    }
    for place in range(len(index)):
        wrong = bytearray(index)
        wrong[place] ^= 16
        text = find_damage(bytes(wrong), {DATA: 120})
        assert text == "" if place in unread else "is cut short or damaged: " in text, place


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (write_table([HEADER], kind=2), "a block is of an unknown kind"),
        (write_table([]), "it has a number of data files of 0"),
        (write_table([(0, b"a", HEADER[2])]), "its first entry, and no other one, should have an empty name"),
        (write_table([HEADER, HEADER]), "its first entry, and no other one, should have an empty name"),
        (write_table([HEADER, (1, b"a", b"")]), "an entry is longer than its block"),
        (write_table([HEADER, (0, b"a", b"\xff")]), "an entry cannot be parsed"),
        (write_index([Place(b"a", 1, shard=1)]), "an entry lies in no data file"),
        (write_index([Place(b"a", 1, offset=-1)]), "an entry lies in no data file"),
        (write_index([], shards=2**31 - 1), "it has a number of data files of 2147483647"),
        (b"\xff" * 40 + write_index([])[-8:], "a number has no end"),
    ],
)
def test_crafted_tables(index: bytes, message: str) -> None:
    assert f"({len(index):,} bytes) is cut short or damaged: {message}; get " in find_damage(index, {DATA: 9})


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ((0, -5), "its blocks overlap"),  # the first block again
        ((2**63, 9), "a block lies outside of it"),
        ((5, 2**63), "a block lies outside of it"),
        ((5, 3), "a block lies outside of it"),
    ],
)
def test_handles_that_lead_elsewhere(second: Handle, message: str) -> None:
    block = write_block([HEADER])
    end, size = len(block), len(block) - 5
    start, length = second
    handle = (start, size) if length == -5 else (end + start if start > 5 else end, length)
    assert message in find_damage(close_table(block, [(0, size), handle]), {DATA: 9})


def test_entries_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "_ENTRIES", 2)
    assert find_damage(write_index(PLACES[:2]), {DATA: 80}) == ""
    assert "more than 2 entries" in find_damage(write_index(PLACES[:3]), {DATA: 120})
    empty = write_block([])
    handles = [(number * len(empty), len(empty) - 5) for number in range(3)]
    assert "more than 2 blocks" in find_damage(close_table(empty * 3, handles), {})


def test_varints_of_more_than_a_byte() -> None:
    assert bundle._read_varints(b"x" + varints(300, 2**64 - 1), 1, 2) == (300, 2**64 - 1, 13)


# Models ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        (DATA, 999, f"{DATA} is cut short: expected 1,000 bytes, got 999; get the whole model again"),
        (DATA, 0, f"{DATA} is cut short: expected 1,000 bytes, got 0"),
        (INDEX, 100, f"{INDEX} (100 bytes) is cut short or damaged: it does not end as an index does"),
        (INDEX, 0, f"{INDEX} (0 bytes) is cut short or damaged: it does not end as an index does"),
    ],
)
def test_a_download_that_was_cut_short(tmp_path: Path, packed: bool, name: str, size: int, message: str) -> None:
    model = write_graph(tmp_path / "1" / "model")
    assert faults_of(model) == {}
    (model / name).write_bytes((model / name).read_bytes()[:size])
    if packed:
        model = Path(shutil.make_archive(str(tmp_path / "model"), "gztar", tmp_path / "1"))
    assert faults_of(model)["variables"].startswith(f"{model}: {message}")


@pytest.mark.slow
def test_models_that_tensorflow_wrote(ours: Path) -> None:
    assert faults_of(ours) == {}
    index, size = (ours / INDEX).read_bytes(), (ours / DATA).stat().st_size
    assert find_damage(index, {DATA: size}) == ""
    assert "is cut short: expected" in find_damage(index, {DATA: size - 1})
    for cut in range(0, len(index), 7):
        assert "is cut short or damaged: " in find_damage(index[:cut], {DATA: size})
