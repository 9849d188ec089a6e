"""provenance: the statements that publish writes into a hub, and the lock files that they name."""

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from pipeline.base.fault import Fault
from pipeline.base.files import sha256_of
from pipeline.base.stored_names import stored_path
from pipeline.facts.report import load_report
from pipeline.hub.folder import read_index
from pipeline.hub.integrity import damaged_files
from pipeline.publish import Outputs, publish_member
from pipeline.saved_model.files import tarball_digest
from pipeline.trust import builder
from pipeline.trust.builder import Build
from pipeline.trust.envelope import verify
from pipeline.trust.provenance import read_envelope, read_statement
from pipeline.trust.statement import Statement
from pipeline.verifying.hub import verify_hub
from pipeline.verifying.readers import FolderReader
from tests.conftest import ROOT
from tests.test_publish import COLLECTION, MODULE, write_member
from tests.trust.builds import build_of

HANDLE = "tester/mini_fe/1"
FILE = f"{HANDLE}/provenance.dsse.json"
LOCK = f"locks/{sha256_of(ROOT / 'requirements.lock')}.lock"


@pytest.fixture
def member(tmp_path: Path) -> Path:
    return write_member(tmp_path / "artifacts/mini")


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    return tmp_path / "hub"


def publish(folder: Path, hub: Path, build: Build | None = None, signers: Sequence[CryptoSigner] = ()) -> None:
    report = load_report(folder / "report.json")
    outputs = Outputs("mini", MODULE, COLLECTION, folder, report, build or build_of(folder), signers)
    publish_member(outputs, hub, folder / "published.json")


def statement_of(hub: Path) -> Statement:
    statement = read_statement(hub, HANDLE)
    assert statement
    return statement


def listed_statement(hub: Path) -> Path:
    file = read_index(hub).modules[HANDLE].statement
    assert file
    return hub / file.path


def test_a_statement_binds_the_tarball_to_what_it_was_made_from(member: Path, hub: Path) -> None:
    publish(member, hub)
    statement, build = statement_of(hub), build_of(member)
    assert (statement.handle, statement.sha256) == (HANDLE, sha256_of(hub / f"{HANDLE}.tar.gz"))
    assert statement.content_sha256 == tarball_digest(hub / f"{HANDLE}.tar.gz")
    assert statement.definition.parameters == {
        "member": {"name": "mini", "head": "fe"},
        "checkpoint": {"name": "mini"},
        "model": build.model,
        "collection": {"activation": "softmax"},
    }
    checkpoint, source, lock = map(statement.definition.dependency, ("checkpoint", "source", "requirements.lock"))
    assert checkpoint
    assert source
    assert lock
    assert checkpoint.digest == {"sha256": "c" * 64}
    assert checkpoint.annotations["source"] == "mini.npz"
    assert source.digest == {"gitCommit": "a" * 40, "sha256": "b" * 64}
    assert source.annotations == {"clean": True}
    assert statement.run.versions == build.versions
    assert statement.run.report_sha256 == sha256_of(member / "report.json")
    assert statement.run.verdicts["c_api (fe)"] == "pass"


def test_the_index_lists_the_statement_and_the_lock_file(member: Path, hub: Path) -> None:
    publish(member, hub)
    files = json.loads((hub / "index.json").read_text())["modules"][HANDLE]["files"]
    listed = {file["path"]: file["sha256"] for file in files}
    stored = stored_path(FILE, sha256_of(hub / FILE))
    assert listed.items() >= {stored: sha256_of(hub / FILE), LOCK: sha256_of(hub / LOCK)}.items()
    assert (hub / stored).read_bytes() == (hub / FILE).read_bytes()
    assert (hub / LOCK).read_bytes() == (ROOT / "requirements.lock").read_bytes()
    assert files[0]["path"] == f"{HANDLE}.tar.gz"


def test_the_first_statement_of_a_tarball_stays(member: Path, hub: Path) -> None:
    publish(member, hub)
    first = (hub / FILE).read_bytes()
    publish(member, hub, dataclasses.replace(build_of(member), started="2027-01-01T00:00:00Z"))
    assert (hub / FILE).read_bytes() == first


def test_a_statement_of_a_tarball_that_never_appeared_is_replaced(member: Path, hub: Path) -> None:
    publish(member, hub)
    first = statement_of(hub).sha256
    for path in (*hub.glob("index*/*.json"), hub / "index.json", *hub.rglob("*.tar.gz")):
        path.unlink()  # as after a kill before the index was written
    write_member(member, b"another graph")
    publish(member, hub)
    assert statement_of(hub).sha256 != first
    assert statement_of(hub).sha256 == sha256_of(hub / f"{HANDLE}.tar.gz")


def test_a_key_signs_also_what_is_published_already(member: Path, hub: Path) -> None:
    publish(member, hub)
    payload = read_envelope(hub, HANDLE)
    first, second = (CryptoSigner.generate_ed25519() for _ in range(2))
    for signers in ([first], [first], [second], []):
        publish(member, hub, signers=signers)
    envelope = read_envelope(hub, HANDLE)
    assert envelope
    assert payload
    assert envelope.payload == payload.payload
    keys = [first.public_key, second.public_key]
    assert set(verify(envelope, keys)) == {key.keyid for key in keys}
    assert listed_statement(hub).read_bytes() == (hub / FILE).read_bytes()
    assert len(list((hub / HANDLE).glob("provenance.dsse.*"))) == 2  # the earlier ones are removed


def test_a_publication_that_is_killed_while_it_signs_leaves_the_listed_statement(
    member: Path, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = CryptoSigner.generate_ed25519()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    publish(member, hub)
    for stage in ("write_parts", "write_copies"):
        with monkeypatch.context() as patch:
            patch.setattr("pipeline.publish." + stage, killed)
            with pytest.raises(KeyboardInterrupt):
                publish(member, hub, signers=[signer])
        assert not [fault for fault in damaged_files(hub, read_index(hub)) if "provenance" in fault]
        assert verify_hub(FolderReader(hub), None, hub).problems == []
    publish(member, hub)  # without the key; what was listed last is signed
    envelope = read_envelope(hub, HANDLE)
    assert envelope
    assert verify(envelope, [signer.public_key]) == (signer.public_key.keyid,)


def test_a_build_of_another_model_is_refused(member: Path, hub: Path) -> None:
    build = dataclasses.replace(build_of(member), contents={"classification": "0" * 64, "fe": "0" * 64})
    with pytest.raises(
        Fault, match=r"^mini: build\.json is about another classification than was validated: content 0"
    ):
        publish(member, hub, build)
    assert not list(hub.rglob("*.tar.gz"))


def test_another_lock_file_is_refused(member: Path, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edited = tmp_path / "requirements.lock"
    edited.write_text("jax==1\n")
    monkeypatch.setattr(builder, "LOCK", edited)
    with pytest.raises(Fault, match=r"requirements\.lock: not the lock file that mini was converted with, which has"):
        publish(member, hub)
    assert not list(hub.rglob("*.tar.gz"))
    monkeypatch.undo()
    publish(member, hub)
    monkeypatch.setattr(builder, "LOCK", edited)
    publish(member, hub)  # the hub has the lock file already


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"not valid JSON"),
        ('{"payloadType": "text/plain"}', "no DSSE envelope"),
    ],
)
def test_a_damaged_statement_is_named(member: Path, hub: Path, text: str, message: str) -> None:
    publish(member, hub)
    listed_statement(hub).write_text(text)
    with pytest.raises(
        Fault, match=f"provenance.dsse.[0-9a-f]*.json: .*{message}.*; delete it and publish the member again"
    ):
        publish(member, hub)


def test_a_statement_of_another_module_is_refused(member: Path, hub: Path) -> None:
    publish(member, hub)
    shutil.copy(hub / FILE.replace("mini_fe", "mini_classification"), listed_statement(hub))
    with pytest.raises(Fault, match=r"it is about tester/mini_classification/1, expected tester/mini_fe/1"):
        publish(member, hub)
