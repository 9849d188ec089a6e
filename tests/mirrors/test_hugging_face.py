"""Mirrors on Hugging Face, with its real client and a stand-in of its server."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pipeline.base.fault import Fault
from pipeline.mirrors.hugging_face import plan_versions
from pipeline.mirrors.mirror import run, write_plan
from pipeline.mirrors.plan import Step, parse_address
from pipeline.mirrors.records import MirrorRecord
from pipeline.releasing.local_hub import read_local_hub
from tests.hubs import read_document, write_document
from tests.mirrors.conftest import Only, replace_tarball, unpack, write_model
from tests.mirrors.hugging_face_server import TOKEN, HuggingFace, Repository, Tree
from tests.releasing.hubs import FORMATS, add_formats, rewrite

# Of huggingface_hub, about its own use of its HTTP client.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")

ORG = parse_address("hf://some-org")
DEMO, SMALL = "vit-publisher/vit_demo_fe", "sayakpaul/vit_s16_classification"
INT8 = {"litert-int8": {"model_int8.tflite": b"LiteRT in int8"}}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[HuggingFace]:
    """A stand-in, which the client takes for Hugging Face."""
    from huggingface_hub import constants

    host = HuggingFace()
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with host.running() as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        yield host


def mirror(hub: Path, plan: Path | None = None) -> str:
    assert ORG
    return run(hub, ORG, plan, hub.parent / "artifacts")


def plan(hub: Path) -> str:
    assert ORG
    return write_plan(hub, ORG, None, hub.parent / "artifacts")


def expected(hub: Path, handle: str) -> Tree:
    """Returns the files that a version's repository must have."""
    repository = f"some-org/{handle.split('/')[1]}"
    page = (hub / handle / "huggingface.md").read_text().replace("${REPOSITORY}", repository)
    return {"README.md": page.encode()} | unpack(hub, handle)


def tagged(host: HuggingFace, handle: str) -> Tree:
    """Returns the files that the tag of a version leads to, without Hugging Face's own."""
    _, name, version = handle.split("/")
    repository = host.repositories[f"some-org/{name}"]
    tree = repository.commits[repository.tags[f"v{version}"]]
    return {path: content for path, content in tree.items() if path != ".gitattributes"}


def test_each_version_is_a_tag_with_the_files_and_the_card(hub: Path, host: HuggingFace) -> None:
    assert mirror(hub).startswith(f"6 of 6 versions of {hub} to hf://some-org, receipt in ")
    handles = read_document(hub)["modules"].keys()
    assert len(handles) == 6
    for handle in handles:
        assert tagged(host, handle) == expected(hub, handle)
        page = tagged(host, handle)["README.md"].decode()
        repository = f"some-org/{handle.split('/')[1]}"
        assert f'snapshot_download("{repository}", revision="v{handle[-1]}", ignore_patterns=["onnx/*", "' in page
        assert "localhost" not in page
        assert "${" not in page
    receipt = json.loads((hub.parent / "artifacts").glob("*.json").__next__().read_text())
    for mirrored in receipt["mirrored"]:
        assert host.repositories[mirrored["place"]].tags[mirrored["name"]] == mirrored["commit"]
    assert host.repositories["some-org/vit_demo_fe"].main == host.repositories["some-org/vit_demo_fe"].tags["v2"]
    # A second time there is nothing to do.
    before = len(host.requests)
    assert mirror(hub).startswith("0 of 6 versions")
    assert {request.split()[0] for request in host.requests[before:]} == {"GET"}


# Interruptions --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fault", "late", "uploads"),
    [
        (r"POST .*/batch", False, 3),
        (r"POST .*/commit/main", False, 0),
        (r"POST .*/commit/main", True, 0),  # the answer is lost, the commit is there
        (r"POST .*/tag/", False, 0),
        (r"POST .*/tag/", True, 0),
    ],
)
def test_the_next_run_goes_on_where_a_line_was_cut(
    only: Only, host: HuggingFace, fault: str, late: bool, uploads: int
) -> None:
    handle = f"{DEMO}/1"
    hub = only(handle)
    status = 500 if "batch" not in fault else 403  # the client itself tries the former again for some requests
    host.fail(fault, status, "no", late)
    with pytest.raises(Fault, match=r"Hugging Face (answers 500|refuses the credentials with 403)"):
        mirror(hub)
    sent = host.count("^PUT /lfs/")
    assert mirror(hub).startswith("0 of 1" if late and "tag" in fault else "1 of 1")
    assert host.count("^PUT /lfs/") - sent == uploads
    assert tagged(host, handle) == expected(hub, handle)
    assert len(host.repositories["some-org/vit_demo_fe"].commits) == 2  # the first is Hugging Face's own


def test_a_plan_is_carried_out_after_an_interruption(only: Only, host: HuggingFace) -> None:
    hub = only(f"{DEMO}/1", f"{DEMO}/2")
    plan(hub)
    assert not host.repositories
    (saved,) = (hub.parent / "artifacts").glob("*.plan.json")
    host.fail(r"POST .*/some-org/vit_demo_fe/tag/", 503)
    with pytest.raises(Fault, match="answers 503; wait a while and run the same command again"):
        mirror(hub, saved)
    assert mirror(hub, saved).startswith("2 of 2")
    assert mirror(hub, saved).startswith("0 of 2")
    assert tagged(host, f"{DEMO}/2") == expected(hub, f"{DEMO}/2")


@pytest.mark.parametrize(
    ("place", "status", "message"),
    [
        ("GET .*/refs", 401, "refuses the credentials with 401.*; expected a token that may write to some-org: set HF"),
        ("POST /api/repos/create", 403, "refuses the credentials with 403"),
        ("POST .*/tag/", 403, "refuses the credentials with 403"),
        ("GET .*/refs", 429, "answers 429.*; wait a while and run the same command again"),
        ("POST /api/repos/create", 503, "answers 503"),
        ("POST .*/tag/", 503, "answers 503"),
    ],
)
def test_errors_of_the_server_are_one_sentence(
    only: Only, host: HuggingFace, place: str, status: int, message: str
) -> None:
    hub = only(f"{DEMO}/1")
    host.fail(place, status, f"token {TOKEN}")
    with pytest.raises(Fault, match=message) as fault:
        mirror(hub)
    assert "\n" not in str(fault.value)


def test_a_server_that_is_down_is_named(only: Only, host: HuggingFace, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = only(f"{DEMO}/1")
    host.fail("GET .*/refs")
    with pytest.raises(Fault, match=r"Hugging Face cannot be reached \(RemoteProtocolError\); check your network"):
        mirror(hub)


# Others write, too ----------------------------------------------------------------------------------------------------
def test_a_main_branch_that_moved_is_refused(only: Only, host: HuggingFace) -> None:
    hub = only(f"{DEMO}/1")
    repository = host.repositories["some-org/vit_demo_fe"] = Repository()
    repository.add({".gitattributes": b""})
    plan(hub)
    (saved,) = (hub.parent / "artifacts").glob("*.plan.json")
    repository.add({".gitattributes": b"", "README.md": b"by somebody else"})
    with pytest.raises(Fault, match=f"has changed since the plan was made .*: {DEMO}/1; nothing was written"):
        mirror(hub, saved)
    # Between the last look and the commit, its parent guards.
    host.fail(".*/commit/main", 412, "A commit has happened since")
    with pytest.raises(Fault, match="somebody else wrote to the main branch since the plan was made"):
        mirror(hub)
    assert not repository.tags
    assert repository.commits[repository.main]["README.md"] == b"by somebody else"


@pytest.mark.parametrize("name", ["model.safetensors", "model_int8.tflite"])
def test_files_of_others_are_not_removed(only: Only, host: HuggingFace, name: str) -> None:
    """Though a later version, which is mirrored after this one, has a file of that name."""
    hub = only(f"{DEMO}/1", f"{DEMO}/2")
    add_formats(hub, f"{DEMO}/2", INT8)
    repository = host.repositories["some-org/vit_demo_fe"] = Repository()
    repository.add({name: b"somebody's"})
    with pytest.raises(Fault, match=rf"files that no version of this module has: {name}; remove them there"):
        mirror(hub)
    assert list(repository.commits[repository.main]) == [name]


def test_a_tag_with_another_model_is_refused(only: Only, host: HuggingFace) -> None:
    hub = only(f"{DEMO}/1")
    mirror(hub)
    repository = host.repositories["some-org/vit_demo_fe"]
    before = repository.tags["v1"]
    other = repository.commits[before] | {"saved_model.pb": b"another graph"}
    repository.tags["v1"] = repository.add(other)
    moved = rf"the tag was moved from {before} to {repository.tags['v1']}"
    with pytest.raises(
        Fault, match=rf"{moved}: v1 is there with another model \(saved_model\.pb\); raise module\.version"
    ):
        mirror(hub)


def test_a_tag_that_moved_to_the_same_files_is_told(
    only: Only, host: HuggingFace, capsys: pytest.CaptureFixture
) -> None:
    hub = only(f"{DEMO}/1")
    mirror(hub)
    repository = host.repositories["some-org/vit_demo_fe"]
    repository.tags["v1"] = repository.add(repository.commits[repository.main])
    plan(hub)
    assert "the tag was moved from " in capsys.readouterr().out


def test_another_tarball_under_a_mirrored_version_is_refused(only: Only, host: HuggingFace, tmp_path: Path) -> None:
    hub = only(f"{DEMO}/1")
    mirror(hub)
    write_model(tmp_path / "other", b"other")
    replace_tarball(hub, f"{DEMO}/1", tmp_path / "other")
    with pytest.raises(Fault, match=r"v1 is there with another model"):
        mirror(hub)
    assert tagged(host, f"{DEMO}/1") != expected(hub, f"{DEMO}/1")


# Cards ----------------------------------------------------------------------------------------------------------------
def test_a_corrected_card_goes_to_the_main_branch_and_the_tag_stays(only: Only, host: HuggingFace) -> None:
    hub = only(f"{DEMO}/1")
    mirror(hub)
    first = tagged(host, f"{DEMO}/1")
    page = hub / DEMO / "1/huggingface.md"
    rewrite(hub, f"{DEMO}/1/huggingface.md", page.read_text() + "\nCorrected.\n")
    sent = host.count("PUT /lfs/")
    assert mirror(hub).startswith("1 of 1")
    assert mirror(hub).startswith("0 of 1")
    repository = host.repositories["some-org/vit_demo_fe"]
    assert repository.commits[repository.main]["README.md"].endswith(b"\nCorrected.\n")
    assert tagged(host, f"{DEMO}/1") == first
    assert host.count("PUT /lfs/") == sent


def test_a_deprecated_version_says_so_in_its_repository(only: Only, host: HuggingFace) -> None:
    hub = only(f"{DEMO}/1", f"{DEMO}/2")
    document = read_document(hub)
    document["modules"][f"{DEMO}/1"]["deprecated"] = {"successor": f"{DEMO}/2", "date": "2026-11-01"}
    write_document(hub, document)
    mirror(hub)
    title, _, warning = tagged(host, f"{DEMO}/1")["README.md"].decode().partition("\n---\n")[2].strip().split("\n")[:3]
    assert title.startswith("# ")
    assert warning == f"**Deprecated** since 2026-11-01: use {DEMO}/2 instead."


# Formats --------------------------------------------------------------------------------------------------------------
def main_of(host: HuggingFace) -> Tree:
    repository = host.repositories["some-org/vit_demo_fe"]
    return repository.commits[repository.main]


def test_formats_lie_where_other_programs_look_for_them(only: Only, host: HuggingFace) -> None:
    """As transformers.js reads a repository; the plain twin is a second SavedModel, which has no place there."""
    handle = f"{DEMO}/1"
    hub = only(handle)
    add_formats(hub, handle, {**FORMATS, "plain": {"plain.tar.gz": b"a twin"}})
    mirror(hub)
    tree, plain = tagged(host, handle), expected(hub, handle)
    formats = {path: content for files in FORMATS.values() for path, content in files.items()}
    assert {path: tree.pop(path) for path in formats} == formats
    assert tree.keys() == plain.keys()
    _, matter, page = tree["README.md"].decode().split("---\n", 2)
    assert page == plain["README.md"].decode().split("---\n", 2)[2]
    facts = yaml.safe_load(matter)
    assert facts["library_name"] == "tf-keras"
    assert facts["tags"][-5:] == ["jax2tf", "onnx", "transformers.js", "litert", "tflite"]
    assert mirror(hub).startswith("0 of 1")


def test_a_format_that_a_version_gets_later_goes_to_the_main_branch_and_the_tag_stays(
    only: Only, host: HuggingFace, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = only(f"{DEMO}/1")
    mirror(hub)
    before, sent = tagged(host, f"{DEMO}/1"), host.count("PUT /lfs/")
    add_formats(hub, f"{DEMO}/1", INT8)
    assert mirror(hub).startswith("1 of 1")
    assert "  formats    vit-publisher/vit_demo_fe/1 as some-org/vit_demo_fe, v1\n" in capsys.readouterr().out
    assert mirror(hub).startswith("0 of 1")
    assert host.count("PUT /lfs/") == sent + 1
    assert tagged(host, f"{DEMO}/1") == before
    assert main_of(host).keys() - before.keys() == {".gitattributes", "model_int8.tflite"}
    # The next version has none: that of the earlier one is no file of somebody else.
    newer = only(f"{DEMO}/1", f"{DEMO}/2")
    add_formats(newer, f"{DEMO}/1", INT8)
    assert mirror(newer).startswith("1 of 2")
    assert tagged(host, f"{DEMO}/2") == expected(newer, f"{DEMO}/2")
    assert "the tag keeps the card and the formats that it was made with" in capsys.readouterr().out


def test_formats_that_another_machine_published_stay(only: Only, host: HuggingFace, tmp_path: Path) -> None:
    hub = only(f"{DEMO}/1")
    other = Path(shutil.copytree(hub, tmp_path / "other"))
    add_formats(other, f"{DEMO}/1", INT8)
    mirror(other)
    page = hub / DEMO / "1/huggingface.md"
    rewrite(hub, f"{DEMO}/1/huggingface.md", page.read_text() + "\nCorrected.\n")
    assert mirror(hub).startswith("1 of 1")
    assert main_of(host)["README.md"].endswith(b"\nCorrected.\n")
    assert main_of(host)["model_int8.tflite"] == b"LiteRT in int8"
    assert mirror(hub).startswith("0 of 1")


@pytest.mark.parametrize("when", ["with the version", "later"])
def test_other_bytes_of_a_format_are_refused(only: Only, host: HuggingFace, tmp_path: Path, when: str) -> None:
    hub = only(f"{DEMO}/1")
    other = Path(shutil.copytree(hub, tmp_path / "other"))
    if when == "later":
        mirror(hub)
    add_formats(other, f"{DEMO}/1", INT8)
    mirror(other)
    add_formats(hub, f"{DEMO}/1", {"litert-int8": {"model_int8.tflite": b"other bytes"}})
    place = "the main branch has other bytes of " if when == "later" else r"v1 is there with another model \("
    with pytest.raises(Fault, match=rf"{place}model_int8\.tflite.* raise module\.version"):
        mirror(hub)
    assert main_of(host)["model_int8.tflite"] == b"LiteRT in int8"


# What is never mirrored -----------------------------------------------------------------------------------------------
def test_drafts_and_local_addresses_are_refused_before_anything_is_written(only: Only, host: HuggingFace) -> None:
    hub = only(f"{DEMO}/1", f"{DEMO}/2", f"{SMALL}/1")
    document = read_document(hub)
    document["modules"][f"{DEMO}/1"]["status"] = "draft"
    files = document["modules"][f"{SMALL}/1"]["files"]
    document["modules"][f"{SMALL}/1"]["files"] = [file for file in files if "huggingface" not in file["path"]]
    write_document(hub, document)
    (hub / SMALL / "1/huggingface.md").unlink()
    page = (hub / DEMO / "2/huggingface.md").read_text()
    rewrite(hub, f"{DEMO}/2/huggingface.md", page.replace("https://hub.example.org", "http://localhost:8080"))
    with pytest.raises(Fault, match="nothing was written, since 3 versions may not be mirrored") as fault:
        mirror(hub)
    lines = str(fault.value).splitlines()
    assert f"the hub has no {SMALL}/1/huggingface.md; run make publish for its member again" in lines[1]
    assert lines[2].startswith(f"{DEMO}/1: ")
    assert "draft" in lines[2]
    assert "http://localhost:8080" in lines[3]
    assert not host.repositories


def test_yanked_versions_are_passed_over(only: Only, host: HuggingFace, capsys: pytest.CaptureFixture[str]) -> None:
    hub = only(f"{DEMO}/1", f"{DEMO}/2")
    document = read_document(hub)
    document["modules"][f"{DEMO}/2"]["yanked"] = {"reason": "wrong labels", "date": "2026-11-01"}
    write_document(hub, document)
    assert mirror(hub).startswith("1 of 2")
    assert "pass over  vit-publisher/vit_demo_fe/2" in capsys.readouterr().out
    assert host.repositories["some-org/vit_demo_fe"].tags.keys() == {"v1"}


def test_an_older_version_does_not_go_over_a_newer_one(only: Only, host: HuggingFace, tmp_path: Path) -> None:
    mirror(only(f"{DEMO}/2"))
    assert mirror(only(f"{DEMO}/1", f"{DEMO}/2")).startswith("0 of 2")
    assert host.repositories["some-org/vit_demo_fe"].tags.keys() == {"v2"}


def test_two_publishers_with_one_name_are_refused(only: Only, host: HuggingFace) -> None:
    local = read_local_hub(only(f"{DEMO}/1"))
    entry = replace(local.index.modules[f"{DEMO}/1"], handle="somebody/vit_demo_fe/1")
    local = replace(local, index=local.index.with_modules({entry.handle: entry}))
    first, second = plan_versions(local, "some-org", MirrorRecord())
    assert first.reason == "vit-publisher has a module of the same name, and there is one repository of a name"
    assert first.step is second.step is Step.REFUSED


@pytest.mark.parametrize("address", ["hf://", "hf://a/b", "hf://-", "kaggle://a b"])
def test_an_address_is_a_name_alone(address: str) -> None:
    with pytest.raises(Fault, match="its name alone"):
        parse_address(address)
