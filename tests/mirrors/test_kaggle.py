"""Mirrors on Kaggle, with its real client and a stand-in of its server."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.mirrors import kaggle
from pipeline.mirrors.mirror import run, write_plan
from pipeline.mirrors.plan import parse_address
from tests.hubs import read_document, write_document
from tests.mirrors.conftest import Only, replace_tarball, unpack, write_model
from tests.mirrors.kaggle_server import TOKEN, Kaggle, Tree
from tests.releasing.hubs import FORMATS, add_formats, rewrite

OWNER = parse_address("kaggle://some-owner")
FE, CLASSIFIER = "vit-publisher/vit_demo_fe", "vit-publisher/vit_demo_classification"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kaggle]:
    """A stand-in, which the client takes for Kaggle: in its mode for tests, which prints requests with the token."""
    from kagglehub import clients
    from kagglesdk import kaggle_env

    host = Kaggle("some-owner")
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "TEST")
    monkeypatch.setattr(kaggle, "_LOOKS", (0.0, 0.0))
    # It searches the stack for names of libraries, which takes most of the time of a test.
    monkeypatch.setattr(clients, "get_user_agent", lambda: "the tests")
    with host.running() as address:
        # Port 7777 is fixed, and may be another's.
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.TEST, address)
        yield host


def mirror(hub: Path, plan: Path | None = None) -> str:
    assert OWNER
    return run(hub, OWNER, plan, hub.parent / "artifacts")


def expected(hub: Path, handle: str) -> Tree:
    """Returns the files that a version on Kaggle must have."""
    sha256 = read_document(hub)["modules"][handle]["files"][0]["sha256"]
    marker = json.dumps({"handle": handle, "sha256": sha256}, indent=2) + "\n"
    return unpack(hub, handle) | {"mirror.json": marker.encode()}


def remembered(hub: Path) -> dict:
    content: dict = json.loads((hub / "mirrors/kaggle-some-owner.json").read_text())
    return content


def test_each_version_has_its_files_and_number(only: Only, host: Kaggle, capsys: pytest.CaptureFixture[str]) -> None:
    hub = only(f"{FE}/1", f"{FE}/2", f"{CLASSIFIER}/1", f"{CLASSIFIER}/2")
    add_formats(hub, f"{FE}/1", FORMATS)  # for which Kaggle has other places: they are not mirrored
    assert mirror(hub).startswith(f"4 of 4 versions of {hub} to kaggle://some-owner, receipt in ")
    assert host.models.keys() == {"vit-demo"}
    model = host.models["vit-demo"]
    for variation, name in (("feature-extractor", FE), ("classification", CLASSIFIER)):
        assert model.versions[variation] == [expected(hub, f"{name}/1"), expected(hub, f"{name}/2")]
        usage = model.pages[variation]["usage"]
        address = f"some-owner/vit-demo/tensorFlow2/{variation}/${{VERSION_NUMBER}}"
        assert f'kagglehub.model_download("{address}")' in usage
        assert "localhost" not in usage
        assert model.pages[variation]["licenseName"] == "Apache 2.0"
    assert model.page["isPrivate"] is True
    assert "# Model Summary" in model.page["description"]
    numbers = {handle: version["name"] for handle, version in remembered(hub)["mirrored"].items()}
    assert numbers == {f"{FE}/1": "1", f"{FE}/2": "2", f"{CLASSIFIER}/1": "1", f"{CLASSIFIER}/2": "2"}
    # A second time there is nothing to do, also for whoever has the hub without its memory.
    (hub / "mirrors/kaggle-some-owner.json").unlink()
    before = dict(model.versions)
    assert mirror(hub).startswith("0 of 4")
    assert model.versions == before
    assert {handle: version["name"] for handle, version in remembered(hub)["mirrored"].items()} == numbers
    out, err = capsys.readouterr()
    assert TOKEN not in out + err
    assert not any(TOKEN in path.read_text() for path in hub.parent.rglob("*.json"))


def test_what_kagglehub_downloads_is_the_module(only: Only, host: Kaggle, tmp_path: Path) -> None:
    import kagglehub

    hub = only(f"{FE}/1")
    mirror(hub)
    address = "some-owner/vit-demo/tensorFlow2/feature-extractor/1"
    folder = Path(kagglehub.model_download(address, output_dir=str(tmp_path / "model")))
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    files = {path: content for path, content in files.items() if not path.startswith(".")}
    assert files == expected(hub, f"{FE}/1")


# Interruptions --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("version", "request_name", "late"),
    [
        (1, "StartBlobUpload", False),
        (1, "Create", True),  # the answer is lost, the version is there
        (2, "Create", False),
        (2, "Create", True),
        (2, "List", False),
    ],
)
def test_the_next_run_goes_on_and_adds_nothing_twice(
    only: Only, host: Kaggle, version: int, request_name: str, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = only(f"{FE}/1", f"{FE}/2")
    if version == 2:
        mirror(only(f"{FE}/1"))
    pattern = {"Create": rf"/CreateModelInstance{'Version' * (version - 1)}$", "List": "/ListModelInstanceVersionFiles"}
    host.fail(pattern.get(request_name, request_name), 503, "busy", late)
    with pytest.raises(Fault, match="Kaggle answers 503; wait a while and run the same command again"):
        mirror(wanted)
    if request_name == "Create" and not late and version == 2:
        # Nobody knows whether it will appear.
        with pytest.raises(Fault, match=r"it was sent at .*, and Kaggle does not show it yet; run the same command"):
            mirror(wanted)
        monkeypatch.setattr(kaggle, "PROCESSING", timedelta())
    mirror(wanted)
    assert mirror(wanted).startswith("0 of 2")
    assert host.models["vit-demo"].versions["feature-extractor"] == [
        expected(wanted, f"{FE}/1"), expected(wanted, f"{FE}/2")
    ]  # fmt: skip


def test_a_version_that_kaggle_still_processes_is_not_sent_again(only: Only, host: Kaggle) -> None:
    mirror(only(f"{FE}/1"))
    hub = only(f"{FE}/1", f"{FE}/2")
    host.is_slow = True
    with pytest.raises(Fault, match="was sent, and Kaggle does not show it yet: it processes new files"):
        mirror(hub)
    with pytest.raises(Fault, match="it was sent at"):
        mirror(hub)
    host.is_slow, host.hidden = False, 0
    assert mirror(hub).startswith("0 of 2")
    assert len(host.models["vit-demo"].versions["feature-extractor"]) == 2
    assert not remembered(hub)["sent"]


def test_a_cut_line_is_continued_within_a_file(only: Only, host: Kaggle, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.mirrors import kaggle_upload

    monkeypatch.setattr(kaggle_upload, "_PAUSE", 0.0)
    hub = only(f"{FE}/1")
    host.fail("PUT /blob/blob0")
    host.fail("PUT /blob/blob2", 503)
    host.fail("PUT /blob/blob3", 308)
    mirror(hub)
    assert host.models["vit-demo"].versions["feature-extractor"] == [expected(hub, f"{FE}/1")]


def test_a_file_that_cannot_be_uploaded_is_named(only: Only, host: Kaggle) -> None:
    hub = only(f"{FE}/1")
    host.fail("PUT /blob/blob0", 403)
    with pytest.raises(Fault, match=r"could not be uploaded to Kaggle \(the store answers 403\)"):
        mirror(hub)
    assert not host.models["vit-demo"].versions


# Answers --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("place", "status", "message"),
    [
        ("/GetModel$", 401, "refuses the credentials with 401; expected those of some-owner"),
        ("/CreateModel$", 401, "refuses the credentials with 401; expected those of some-owner"),
        ("/GetModel$", 429, "answers 429; wait a while"),
        ("/CreateModel$", 503, "answers 503; wait a while"),
        ("/GetModel$", 0, r"Kaggle cannot be reached \(ConnectionError\)"),
        ("/CreateModel$", 0, r"Kaggle cannot be reached \(ConnectionError\)"),
    ],
)
def test_errors_of_the_server_are_one_sentence(only: Only, host: Kaggle, place: str, status: int, message: str) -> None:
    hub = only(f"{FE}/1")
    host.fail(place, status, f"token {TOKEN}")
    with pytest.raises(Fault, match=message) as fault:
        mirror(hub)
    assert TOKEN not in str(fault.value)
    assert "\n" not in str(fault.value)


def test_credentials_of_another_owner_are_refused(only: Only, host: Kaggle) -> None:
    host.owner = "somebody-else"
    with pytest.raises(Fault, match="refuses the credentials with 403"):
        mirror(only(f"{FE}/1"))


def test_without_credentials_the_settings_are_named(only: Only, host: Kaggle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    with pytest.raises(Fault, match=r"TO=kaggle://some-owner: no credentials; set KAGGLE_API_TOKEN"):
        mirror(only(f"{FE}/1"))
    assert not host.requests


# Others write, too ----------------------------------------------------------------------------------------------------
def test_a_variation_that_moved_is_refused(only: Only, host: Kaggle, tmp_path: Path) -> None:
    assert OWNER
    mirror(only(f"{FE}/1"))
    hub = only(f"{FE}/1", f"{FE}/2")
    write_plan(hub, OWNER, tmp_path / "plan.json", tmp_path)
    host.models["vit-demo"].versions["feature-extractor"].append({"theirs": b""})
    with pytest.raises(Fault, match=f"has changed since the plan was made .*{FE}/2; nothing was written"):
        mirror(hub, tmp_path / "plan.json")
    assert mirror(hub).startswith("1 of 2")
    assert remembered(hub)["mirrored"][f"{FE}/2"]["name"] == "3"


def test_another_tarball_under_a_mirrored_version_is_refused(only: Only, host: Kaggle, tmp_path: Path) -> None:
    hub = only(f"{FE}/1")
    mirror(hub)
    write_model(tmp_path / "other", b"other")
    replace_tarball(hub, f"{FE}/1", tmp_path / "other")
    with pytest.raises(Fault, match=r"number 1 there is this version with another tarball: sha256 [0-9a-f]{64}; raise"):
        mirror(hub)
    assert len(host.models["vit-demo"].versions["feature-extractor"]) == 1


def test_an_older_version_does_not_come_after_a_newer_one(only: Only, host: Kaggle) -> None:
    mirror(only(f"{FE}/2"))
    assert mirror(only(f"{FE}/1", f"{FE}/2")).startswith("0 of 2")


# Pages ----------------------------------------------------------------------------------------------------------------
def test_a_corrected_page_is_written_again_without_a_version(only: Only, host: Kaggle) -> None:
    hub = only(f"{FE}/1")
    mirror(hub)
    page = json.loads((hub / FE / "1/kaggle-variation.json").read_text())
    page["overview"] = "Corrected."
    rewrite(hub, f"{FE}/1/kaggle-variation.json", json.dumps(page))
    assert mirror(hub).startswith("1 of 1")
    assert mirror(hub).startswith("0 of 1")
    assert host.models["vit-demo"].pages["feature-extractor"]["overview"] == "Corrected."
    assert len(host.models["vit-demo"].versions["feature-extractor"]) == 1


def test_drafts_yanked_versions_and_local_addresses(only: Only, host: Kaggle) -> None:
    hub = only(f"{FE}/1", f"{FE}/2", f"{CLASSIFIER}/1")
    document = read_document(hub)
    document["modules"][f"{FE}/1"]["status"] = "draft"
    document["modules"][f"{FE}/2"]["yanked"] = {"reason": "wrong labels", "date": "2026-11-01"}
    write_document(hub, document)
    page = json.loads((hub / CLASSIFIER / "1/kaggle-model.json").read_text())
    page["description"] += "See http://localhost:8080/a."
    rewrite(hub, f"{CLASSIFIER}/1/kaggle-model.json", json.dumps(page))
    with pytest.raises(Fault, match="nothing was written, since 2 versions may not be mirrored") as fault:
        mirror(hub)
    assert "http://localhost:8080" in str(fault.value)
    assert f"{FE}/1: index.json calls it a draft" in str(fault.value)
    assert not host.models
