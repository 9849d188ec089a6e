"""The stamps of a member: what changes them, and that they name the same files as the stages."""

from pathlib import Path

import pytest

from pipeline.accuracy.section import Evaluation, images_of
from pipeline.base.yaml_sections import SECTIONS
from pipeline.dag.digests import Digests
from pipeline.dag.members import images_text, read_collection, read_sections, section_texts, source_text
from pipeline.dag.settings import Settings

SAMPLES = Path(__file__).parents[1] / "data/members"
MEMBER = """\
checkpoint:
  name: a
  sources: [{sources}]
  sha256: {sha256}
evaluation:
  dataset: the test set
  minimum_top1: 0.5
  {images}
module:
  version: 1
  title: A
"""


@pytest.fixture
def digests(tmp_path: Path) -> Digests:
    return Digests(tmp_path / "digests.json")


def write_member(folder: Path, sources: str = "a.npz", sha256: str = "null", images: str = "imagenet: true") -> Path:
    (folder / "collection.yaml").write_text("activation: sigmoid\n")
    (folder / "a.yaml").write_text(MEMBER.format(sources=sources, sha256=sha256, images=images))
    return folder / "a.yaml"


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_no_fault_stops_the_stamps_of_other_members(path: Path, digests: Digests) -> None:
    member = read_sections(path)
    assert set(section_texts(member, read_collection(member.path.parent), digests)) == set(SECTIONS) - {"formats"}
    source_text(member, Settings(), digests)
    images_text(member, Settings())


def test_a_file_that_cannot_be_read_changes_the_stamp_of_the_cards_alone(tmp_path: Path, digests: Digests) -> None:
    path = write_member(tmp_path)
    path.write_text(path.read_text() + "module: [\n")
    texts = section_texts(read_sections(path), read_collection(tmp_path), digests)
    assert texts.pop("module").startswith(f"{path}:")
    assert set(texts.values()) == {""}


def test_an_edit_of_a_network_of_ones_own_changes_the_stamp_of_the_model_alone(
    tmp_path: Path, digests: Digests
) -> None:
    path, file = write_member(tmp_path), tmp_path / "net.py"
    section = "model: {architecture: 'net.py:Net', variant: tiny, image_size: 2, classes: 5}\n"
    path.write_text(path.read_text() + section)

    def texts() -> dict[str, str]:
        return section_texts(read_sections(path), read_collection(tmp_path), digests)

    missing = texts()
    file.write_text("class Net: ...\n")
    before = texts()
    file.write_text("class Net: ...  # edited\n")
    after = texts()
    assert len({missing["model"], before["model"], after["model"]}) == 3
    assert {name for name in before if before[name] != after[name]} == {"model"}


def test_another_signature_of_a_source_changes_no_stamp(tmp_path: Path, digests: Digests) -> None:
    """Nor does the stamp hold it, or a parameter whose meaning nobody knows."""

    def stamp(source: str) -> str:
        member = read_sections(write_member(tmp_path, f'"{source}"'))
        return section_texts(member, read_collection(tmp_path), digests)["checkpoint"]

    signed = stamp("https://me:secret@host/a.npz?model=secret&sig=secret")
    assert stamp("https://you:other@host/a.npz?model=secret&sig=other") == signed
    assert stamp("https://host/a.npz?model=other&sig=secret") != signed
    assert "secret" not in signed


@pytest.mark.parametrize("address", ["{name}.npz", "file:{folder}/{{name}}.npz", "file://{folder}/a.npz"])
def test_another_file_at_a_local_source_changes_the_stamp(tmp_path: Path, digests: Digests, address: str) -> None:
    source = address if address.startswith("{name}") else address.format(folder=tmp_path)
    member = read_sections(write_member(tmp_path, f'"https://host/a.npz", "{source}"'))
    assert source_text(member, Settings(), digests) == ""
    (tmp_path / "a.npz").write_bytes(b"weights")
    before = source_text(member, Settings(), digests)
    (tmp_path / "a.npz").write_bytes(b"other weights")
    assert "" != before != source_text(member, Settings(), digests) != ""


def test_a_pinned_checkpoint_is_defined_by_its_digest(tmp_path: Path, digests: Digests) -> None:
    (tmp_path / "a.npz").write_bytes(b"weights")
    member = read_sections(write_member(tmp_path, sha256="ab" * 32))
    assert source_text(member, Settings(), digests) == ""


def test_the_users_own_checkpoint_comes_first(tmp_path: Path, digests: Digests) -> None:
    member = read_sections(write_member(tmp_path))
    for folder in (tmp_path, tmp_path / "mine"):
        folder.mkdir(exist_ok=True)
        (folder / "a.npz").write_text(str(folder))
    own = source_text(member, Settings(checkpoints=f"{tmp_path}/mine"), digests)
    assert own == digests.file(tmp_path / "mine/a.npz") != source_text(member, Settings(), digests)
    assert source_text(member, Settings(checkpoints=f"file:{tmp_path}/mine"), digests) == own


@pytest.mark.parametrize(
    ("section", "place"),
    [
        ("images: pictures", "{folder}/pictures"),
        ("imagenet: true", "/val"),
        ("imagenet: false", None),
    ],
)
def test_the_stamp_names_the_images_that_validate_uses(tmp_path: Path, section: str, place: str | None) -> None:
    member = read_sections(write_member(tmp_path, images=section))
    assert isinstance(member.evaluation, Evaluation)
    used = images_of(member.evaluation, tmp_path, Path("/val"))
    expected = place.format(folder=tmp_path) if place else None
    assert (str(used) if used else None) == expected
    text = images_text(member, Settings(imagenet="/val/", samples="7", real="real.json", split="test"))
    assert text == (f"7 of {expected}, ReaL labels real.json, split test" if expected else "")


@pytest.mark.parametrize("file", ["pictures.tar", "pictures/1.jpg", "pictures/red/1.jpg", "pictures/val/red/1.jpg"])
def test_other_images_of_a_member_change_the_stamp(tmp_path: Path, digests: Digests, file: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"an image")
    member = read_sections(write_member(tmp_path, images=f"images: {Path(file).parts[0]}"))
    before = section_texts(member, read_collection(member.path.parent), digests)
    path.write_bytes(b"another image")
    after = section_texts(member, read_collection(member.path.parent), digests)
    assert {name for name in before if before[name] != after[name]} == {"evaluation"}


def test_the_activation_is_part_of_the_model_and_the_prose_is_not(tmp_path: Path, digests: Digests) -> None:
    member = read_sections(write_member(tmp_path))
    before = section_texts(member, read_collection(member.path.parent), digests)
    (tmp_path / "collection.yaml").write_text("activation: sigmoid\nabout: prose\n")
    after = section_texts(member, read_collection(member.path.parent), digests)
    assert {name for name in before if before[name] != after[name]} == {"module"}
    (tmp_path / "collection.yaml").write_text("activation: softmax\nabout: prose\n")
    assert section_texts(member, read_collection(member.path.parent), digests)["model"] != before["model"]
