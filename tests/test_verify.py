"""Hubs and modules checked from outside: every tampering is done here, and found."""

import dataclasses
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from pipeline import verify
from pipeline.base.fault import Fault
from pipeline.hub.entries import ModuleEntry, PublishedFile
from pipeline.hub.folder import read_index, write_index
from pipeline.hub.index import parse_index
from pipeline.hub.stored import store_page
from pipeline.hub.withdrawal import Yank
from pipeline.keys import sign_with
from pipeline.targets.folder import Folder
from pipeline.targets.interface import LARGEST_SMALL
from pipeline.targets.open import open_target
from pipeline.trust.chain import Change
from pipeline.trust.envelope import Envelope, parse_envelope, render_envelope, sign
from pipeline.trust.metadata import metadata_with_key
from pipeline.trust.roles import Role, current_time, name_key
from pipeline.trust.statement import statement_path
from pipeline.verifying import readers
from pipeline.verifying.findings import Findings
from pipeline.verifying.hub import verify_hub
from pipeline.verifying.readers import FolderReader, TargetReader, WebReader
from tests import hubs
from tests.conftest import ROOT
from tests.releasing.hubs import add_formats
from tests.signed_hub import edit_entry, list_again, sign_again, sign_first, state_modules
from tests.trust.signed import make_keys

KEYS = make_keys()
DEMO, FE = "vit-publisher/vit_demo_classification/1", "vit-publisher/vit_demo_fe/1"
LITERT = f"{DEMO}/model.tflite"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed hub that no test changes."""
    hub = hubs.write_hub(tmp_path_factory.mktemp("signed"))
    for handle in (DEMO, FE):
        litert, plain = ({name: f"{name} of {handle}".encode()} for name in ("model.tflite", "plain.tar.gz"))
        add_formats(hub, handle, {"litert": litert, "plain": plain})
    state_modules(hub, KEYS[Role.RELEASE])
    sign_first(hub, KEYS)
    return hub


class Owned:
    """A copy of a signed hub, and a person with its first root who checks it."""

    def __init__(self, original: Path, folder: Path) -> None:
        self.hub, self._folder = folder / "hub", folder
        shutil.copytree(original, self.hub)
        self.root = folder / "root.json"
        shutil.copy(self.hub / "metadata/1.root.json", self.root)

    def verify(
        self, place: object = None, signed: bool = True, statement: object = None, hub: object = None
    ) -> Findings:
        """Checks the hub, or another place."""
        root = self.root.read_bytes() if signed else None
        given = [str(name) if name else None for name in (statement, hub)]
        return verify.verify(str(place or self.hub), root, self._folder / "cache", *given)

    def problem(self, place: object = None, signed: bool = True, statement: object = None, hub: object = None) -> str:
        """Returns the one problem of the hub, or of another place, or why it was refused."""
        (problem,) = self.problems(place, signed, statement, hub)
        return problem

    def problems(
        self, place: object = None, signed: bool = True, statement: object = None, hub: object = None
    ) -> list[str]:
        """Returns the problems of the hub, or of another place, or why it was refused; each is one line."""
        try:
            problems = self.verify(place, signed, statement, hub).problems
        except Fault as fault:
            problems = [str(fault)]
        assert not [problem for problem in problems if "\n" in problem]
        return problems

    @property
    def card(self) -> str:
        """The path of a card that the index lists."""
        return read_index(self.hub).modules[DEMO].files[1].path

    def shard(self, handle: str) -> Path:
        """Returns the file of the index that lists a module."""
        return next(
            path for path in (self.hub / "index").glob("??.json") if handle in json.loads(path.read_text())["modules"]
        )


@pytest.fixture
def owned(original: Path, tmp_path: Path) -> Owned:
    return Owned(original, tmp_path)


def test_a_whole_hub_is_verified_and_says_who_signed_what_and_when(owned: Owned) -> None:
    findings = owned.verify()
    assert findings.problems == []
    assert findings.modules == len(read_index(owned.hub).modules) == 6
    assert findings.statements == 6
    name = f"the tests' release (key {KEYS[Role.RELEASE].public_key.keyid[:8]})"
    assert findings.signed_by == {name: 6}
    lines = list(findings.lines())
    assert f"release version 1: signed by {name} on {current_time():%Y-%m-%d}" in "\n".join(lines)
    assert "signatures verified" in findings.summary()
    unsigned = owned.verify(signed=False)
    assert unsigned.problems == []
    assert "signatures NOT verified" in unsigned.summary()


# Tampering ------------------------------------------------------------------------------------------------------------
def test_an_edited_index_is_found(owned: Owned) -> None:
    edit_entry(owned.hub, DEMO, lambda entry: dataclasses.replace(entry, title="Another title"))
    problems = owned.verify().problems
    assert len(problems) == 2
    assert f"{owned.shard(DEMO).name}: not what was signed: somebody has edited it" in problems[0]
    assert f"index.json: {DEMO} differ from the shards, and were never signed" in problems[1]


def test_an_edited_signed_copy_of_the_index_is_found(owned: Owned) -> None:
    (copy,) = (path for path in (owned.hub / "index").glob(f"*.{owned.shard(DEMO).name}"))
    copy.write_bytes(copy.read_bytes().replace(b"Fashion", b"Fishing"))
    problems = owned.verify().problems
    assert any("other bytes than were signed" in problem for problem in problems)


def test_a_tarball_swapped_with_its_digest_in_the_index_is_found(owned: Owned) -> None:
    """Who can write the hub makes all of it agree, but cannot sign."""
    tarball = owned.hub / f"{DEMO}.tar.gz"
    tarball.write_bytes(b"malicious")
    list_again(owned.hub, DEMO, f"{DEMO}.tar.gz")
    entry = read_index(owned.hub).modules[DEMO]
    claim = {"sha256": entry.tarball.sha256, "size": entry.tarball.size}
    (owned.hub / f"claims/{DEMO}.json").write_text(json.dumps(claim))
    problems = owned.verify().problems
    assert any("not what was signed" in problem for problem in problems)
    assert any(f"{DEMO}.tar.gz: changed since the index listed it" in problem for problem in problems)
    assert "is about the tarball" in owned.problem(signed=False)  # the statement was not forged


def test_a_whole_old_hub_is_found_by_who_saw_the_new_one(owned: Owned, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(owned.hub, old)
    edit_entry(owned.hub, DEMO, lambda entry: dataclasses.replace(entry, title="A corrected title"))
    sign_again(owned.hub, KEYS)
    assert owned.verify().problems == []
    shutil.rmtree(owned.hub)
    old.rename(owned.hub)
    assert "somebody shows an old hub" in owned.problem()


def test_frozen_metadata_are_found_when_they_expire(owned: Owned) -> None:
    shutil.rmtree(owned.hub / "metadata")
    sign_first(owned.hub, KEYS, now=current_time() - timedelta(days=61))
    shutil.copy(owned.hub / "metadata/1.root.json", owned.root)
    assert "the signatures have expired (timestamp.json is expired)" in owned.problem()


def test_metadata_that_expire_soon_are_announced(owned: Owned) -> None:
    shutil.rmtree(owned.hub / "metadata")
    sign_first(owned.hub, KEYS, now=current_time() - timedelta(days=45))
    shutil.copy(owned.hub / "metadata/1.root.json", owned.root)
    findings = owned.verify()
    assert findings.problems == []
    assert [note for note in findings.notes if "make renew" in note]


def test_the_genuine_tarball_of_another_module_is_found(owned: Owned) -> None:
    shutil.copy(owned.hub / f"{FE}.tar.gz", owned.hub / f"{DEMO}.tar.gz")
    for signed in (True, False):
        assert f"it is the tarball of {FE}, not of {DEMO}" in owned.problem(signed=signed)


@pytest.mark.parametrize("name", ["model.tflite", "plain.tar.gz"])
def test_the_genuine_format_of_another_module_is_found(owned: Owned, name: str) -> None:
    shutil.copy(owned.hub / f"{FE}/{name}", owned.hub / f"{DEMO}/{name}")
    for signed in (True, False):
        assert f"{DEMO}/{name}: it is {FE}/{name}: expected " in owned.problem(signed=signed)


def test_a_large_file_is_read_in_parts_and_counted(tmp_path: Path) -> None:
    """By every way to read a hub."""
    size = LARGEST_SMALL + 1
    with (tmp_path / "model.tflite").open("wb") as stream:
        os.truncate(stream.fileno(), size)
    with served(tmp_path) as address:
        for reader in (
            FolderReader(tmp_path),
            TargetReader(Folder(str(tmp_path), tmp_path)),
            WebReader(address, tmp_path / "cache"),
        ):
            counts: list[int] = []
            tracemalloc.start()
            seen = reader.seen("model.tflite", size, counts.append)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert seen
            assert seen.size == sum(counts) == size
            assert peak < size / 4, reader


def test_the_genuine_tarball_and_statement_of_another_module_are_found(owned: Owned) -> None:
    """Nothing but the statement's subject says which module it is, to who has no root."""
    for path in (f"{DEMO}.tar.gz", statement_path(DEMO)):
        shutil.copy(owned.hub / path.replace(DEMO, FE), owned.hub / path)
        list_again(owned.hub, DEMO, path)
    (owned.hub / f"claims/{DEMO}.json").write_text((owned.hub / f"claims/{FE}.json").read_text())
    assert f"it is the statement of {FE}, expected that of {DEMO}" in owned.problem(signed=False)
    assert any("not what was signed" in problem for problem in owned.verify().problems)
    assert f"in the place of {DEMO}, and its statement is that of {FE}" in owned.problem(owned.hub / f"{DEMO}.tar.gz")


def test_an_old_key_is_found_after_its_replacement(owned: Owned) -> None:
    stolen, new = Path(f"{owned.hub}.stolen"), CryptoSigner.generate_ed25519()
    shutil.copytree(owned.hub, stolen)
    target = Folder(str(owned.hub), owned.hub)
    signers = Change([*KEYS.values(), name_signer(new)], current_time())
    sign_with(target, lambda get: metadata_with_key(get, Role.RELEASE, new.public_key, signers))
    findings = owned.verify()
    assert findings.problems == []
    assert [name for name in findings.signed_by if name.endswith(", a key replaced since")]
    # With the old keys somebody signs the old state anew, and so counts further than the owner.
    edit_entry(stolen, DEMO, lambda entry: dataclasses.replace(entry, title="Malicious"))
    for _ in range(3):
        edit_entry(stolen, DEMO, lambda entry: dataclasses.replace(entry, title=f"{entry.title}!"))
        sign_again(stolen, KEYS)
    for part in ("metadata", "index"):
        shutil.copytree(stolen / part, owned.hub / part, dirs_exist_ok=True)
    assert "signed" in owned.problem() or "old hub" in owned.problem()


def test_statements_of_a_stolen_key_do_not_count_after_its_revocation(owned: Owned) -> None:
    new = CryptoSigner.generate_ed25519()
    target = Folder(str(owned.hub), owned.hub)
    signers = Change([*KEYS.values(), name_signer(new)], current_time())
    sign_with(target, lambda get: metadata_with_key(get, Role.RELEASE, new.public_key, signers, revoke=True))
    problems = owned.verify().problems
    assert len(problems) == 6
    assert all("signed by a key that does not count, or no longer" in problem for problem in problems)


def name_signer(signer: CryptoSigner) -> CryptoSigner:
    name_key(signer.public_key, "the new key")
    return signer


@pytest.mark.parametrize("path", ["the card", statement_path(DEMO), f"{DEMO}.tar.gz", LITERT])
def test_a_changed_file_is_found(owned: Owned, path: str) -> None:
    path = owned.card if path == "the card" else path
    content = bytearray((owned.hub / path).read_bytes())
    content[len(content) // 2] ^= 1
    (owned.hub / path).write_bytes(content)
    for signed in (True, False):
        found = owned.verify(signed=signed).problems
        assert f"{path}: changed since the index listed it" in found[0]


def test_a_changed_copy_of_a_card_is_found(owned: Owned) -> None:
    """People and links read <version>.md; the index lists the card by a name with its digest."""
    card = owned.hub / f"{DEMO}.md"
    before = card.read_bytes()
    card.write_bytes(before + b"Load another model instead.")
    for signed in (True, False):
        assert f"{DEMO}.md: changed: expected a copy of {owned.card}" in owned.problem(signed=signed)
    card.unlink()
    for signed in (True, False):
        findings = owned.verify(signed=signed)
        assert findings.problems == []
        assert [note for note in findings.notes if f"{DEMO}.md: missing" in note]


def test_the_text_of_before_is_behind_and_no_problem(owned: Owned) -> None:
    """A publication that was killed before the plain copies."""
    old, path = owned.card, owned.hub / f"{DEMO}.md"
    before = path.read_bytes()
    file = store_page(owned.hub, f"{DEMO}.md", path.read_text() + "A corrected card.\n")

    def edit(entry: ModuleEntry) -> ModuleEntry:
        return dataclasses.replace(entry, files=tuple(file if other.path == old else other for other in entry.files))

    edit_entry(owned.hub, DEMO, edit)
    sign_again(owned.hub, KEYS)
    assert path.read_bytes() == before
    for signed in (True, False):
        findings = owned.verify(signed=signed)
        assert findings.problems == []
        assert [note for note in findings.notes if f"{DEMO}.md: missing, or the text of before" in note]
    path.write_bytes((owned.hub / file.path).read_bytes())
    (owned.hub / old).unlink()
    assert not [note for note in owned.verify().notes if "text of before" in note]


@pytest.mark.parametrize("path", ["the card", statement_path(DEMO), f"{DEMO}.tar.gz", LITERT])
def test_a_missing_file_is_found(owned: Owned, path: str) -> None:
    path = owned.card if path == "the card" else path
    (owned.hub / path).unlink()
    for signed in (True, False):
        assert f"{path}: missing, but the index lists it for {DEMO}" in owned.problem(signed=signed)


def test_a_missing_part_of_the_index_is_found(owned: Owned) -> None:
    shard = owned.shard(DEMO)
    shard.unlink()
    assert f"{shard.name}: missing, but it was signed" in owned.problem()
    assert f"{shard.name}: missing, but index/root.json lists it" in owned.problem(signed=False)


def test_a_replaced_signature_is_found(owned: Owned) -> None:
    """It is listed and signed as one of the module's files, and by another key than it says."""
    path = owned.hub / statement_path(DEMO)
    envelope = parse_envelope(path.read_bytes())
    forged = dataclasses.replace(envelope.signatures[0], value=bytes(64))
    for signatures, reason in (
        ((forged,), "its signature is wrong"),
        (sign(Envelope(envelope.payload), CryptoSigner.generate_ed25519()).signatures, "a key that does not count"),
    ):
        path.write_bytes(render_envelope(Envelope(envelope.payload, signatures)))
        list_again(owned.hub, DEMO, statement_path(DEMO))
        sign_again(owned.hub, KEYS)
        assert reason in owned.problem()


def test_another_root_is_refused(owned: Owned, original: Path, tmp_path: Path) -> None:
    others = tmp_path / "others"
    shutil.copytree(original, others)
    shutil.rmtree(others / "metadata")
    sign_first(others, make_keys())
    assert "signed by other keys than the pinned root leads to" in owned.problem(others)


def test_a_hub_without_signatures_is_refused_with_a_root(owned: Owned) -> None:
    shutil.rmtree(owned.hub / "metadata")
    assert "metadata/timestamp.json is missing: the hub is not signed" in owned.problem()


def test_claims_and_links_must_agree(owned: Owned) -> None:
    (owned.hub / f"claims/{DEMO}.json").write_text('{"sha256": "00", "size": 1}')
    (owned.hub / f"claims/{FE}.json").write_text("[")
    (owned.hub / f"claims/{LITERT}.json").parent.mkdir()
    (owned.hub / f"claims/{LITERT}.json").write_text('{"sha256": "00", "size": 1}')
    linked = DEMO.removesuffix("1") + "2.html"  # the start page has the newest version
    (owned.hub / linked).unlink()
    problems = owned.verify().problems
    assert len(problems) == 4
    assert f"claims/{DEMO}.json: claims {{" in problems[0]
    assert f"claims/{LITERT}.json: claims {{" in problems[1]
    assert f"claims/{FE}.json: not valid JSON" in problems[2]
    assert f"index.html: it links to {linked}, and there is no such file" in problems[3]


def test_plain_copies_of_an_earlier_release_are_behind_and_no_problem(owned: Owned) -> None:
    """A release that was killed after timestamp.json and before the plain copies."""
    plain = {path: path.read_bytes() for path in (owned.hub / "index").glob("??.json")}
    plain |= {path: path.read_bytes() for path in [owned.hub / "index.json"]}
    edit_entry(owned.hub, DEMO, lambda entry: dataclasses.replace(entry, title="A corrected title"))
    sign_again(owned.hub, KEYS)
    for path, content in plain.items():
        path.write_bytes(content)
    findings = owned.verify()
    assert findings.problems == []
    assert [note for note in findings.notes if "an earlier signed version" in note]
    assert [note for note in findings.notes if f"index.json: {DEMO} differ from the shards" in note]


def test_an_entry_that_index_json_lacks_is_found(owned: Owned) -> None:
    """Who lacks the root is to see it; only a release that was interrupted may have left it out."""
    export = owned.hub / "index.json"
    whole = export.read_text()
    document = json.loads(whole)
    for kind, name in (("modules", DEMO), ("aliases", DEMO.rpartition("/")[0])):
        export.write_text(json.dumps({**document, kind: {n: e for n, e in document[kind].items() if n != name}}))
        assert f"index.json: {name} differ from the shards, and were never signed" in owned.problem()
    export.write_text(whole)
    edit_entry(owned.hub, FE, lambda entry: dataclasses.replace(entry, title="Another title"))
    sign_again(owned.hub, KEYS)
    document = json.loads(export.read_text())
    del document["modules"][DEMO]
    export.write_text(json.dumps(document))
    assert f"index.json: {DEMO} differ from the shards, and were never signed" in owned.problem()


@pytest.mark.parametrize("place", ["{stem}.provenance.dsse.json", "{folder}/provenance.dsse.json"])
def test_the_statement_of_another_module_does_not_count_wherever_it_lies_in_the_hub(owned: Owned, place: str) -> None:
    """Who has the hub's storage chooses which of the places that are looked at has one."""
    tarball = owned.hub / f"{DEMO}.tar.gz"
    shutil.copy(owned.hub / f"{FE}.tar.gz", tarball)
    (owned.hub / statement_path(DEMO)).unlink()
    shutil.copy(owned.hub / statement_path(FE), place.format(stem=owned.hub / DEMO, folder=(owned.hub / DEMO).parent))
    assert f"in the place of {DEMO}, and its statement is that of {FE}" in owned.problem(tarball)
    with served(owned.hub) as address:
        for signed in (True, False):
            assert f"its statement is that of {FE}" in owned.problem(f"{address}/{DEMO}.tar.gz", signed=signed)


@pytest.mark.parametrize(
    ("path", "damage", "reason"),
    [
        ("metadata/timestamp.json", 1 << 40, "more than 67,108,864 bytes"),
        (f"claims/{DEMO}.json", 1 << 40, "more than 67,108,864 bytes"),
        (f"{DEMO}.tar.gz", 1 << 40, "got more bytes"),
        (f"claims/{DEMO}.json", ("{", '{"size": 1, '), "the key 'size' stands twice"),
        ("index.json", ('"modules"', '"modules": {}, "modules"'), "the key 'modules' stands twice"),
        ("index.json", ('"latest": 2', '"latest": 1'), "vit_demo_fe differ from the shards, and were never"),
        ("index/root.json", ('"shards"', '"shards": [], "shards"'), "index/root.json: not what was signed"),
        (f"{DEMO}.md", Path("/etc/hostname"), "changed: expected a copy"),
    ],
)
def test_what_the_owner_of_the_storage_may_try_is_found(
    owned: Owned, path: str, damage: int | tuple[str, str] | Path, reason: str
) -> None:
    """Files without end, keys that stand twice, an alias for a broken version, a link that leads out of the hub."""
    file = owned.hub / path
    if isinstance(damage, int):
        os.truncate(file, damage)
    elif isinstance(damage, Path):
        file.unlink()
        file.symlink_to(damage)
    else:
        file.write_text(file.read_text().replace(*damage))
    assert [problem for problem in owned.problems() if reason in problem]


def test_a_start_page_with_odd_links_breaks_nothing(owned: Owned) -> None:
    links = ("http://[::1", "//evil", "javascript:x", "../up", "/root", "a%00b", "%ff", "x" * 5000)
    (owned.hub / "index.html").write_text("".join(f'<a href="{link}">' for link in links))
    problems = owned.problems()
    assert len(problems) == 3
    assert all("and there is no such file" in problem for problem in problems)


def test_a_hub_of_an_older_version_has_index_json_alone(owned: Owned) -> None:
    shutil.rmtree(owned.hub / "index")
    assert owned.verify(signed=False).modules == 6
    (owned.hub / "index.json").unlink()
    assert "there is no index/root.json and no index.json; expected a hub" in owned.problem(signed=False)


def test_a_changed_bit_anywhere_is_found_and_breaks_nothing(owned: Owned) -> None:
    numbers, paths = random.Random(7), signed_paths(owned.hub)
    assert len(paths) > 50
    for path in numbers.sample(paths, 8):
        before = (owned.hub / path).read_bytes()
        damaged = bytearray(before)
        damaged[numbers.randrange(len(damaged))] ^= 1 << numbers.randrange(5)  # not a letter's case: hex has either
        (owned.hub / path).write_bytes(damaged)
        assert owned.problems(), path
        (owned.hub / path).write_bytes(before)
    assert owned.verify().problems == []


def signed_paths(hub: Path) -> list[str]:
    """Returns the paths of the files to which signatures lead from the root; of HTML, index.json, hub.yaml none do."""
    files = (path for path in hub.rglob("*") if path.is_file() and not path.name.startswith("."))
    paths = sorted(path.relative_to(hub).as_posix() for path in files)
    unsigned = r"html$|^index\.json$|^hub\.yaml$|^site/|root\.json$|^[^/]+/[^/]+\.md$"
    return [path for path in paths if not re.search(unsigned, path)]


# Modules --------------------------------------------------------------------------------------------------------------
def test_a_tarball_is_verified_in_its_hub_and_away_from_it(owned: Owned, tmp_path: Path) -> None:
    tarball = owned.hub / f"{DEMO}.tar.gz"
    findings = owned.verify(tarball)
    assert (findings.problems, list(findings.signed_by.values())) == ([], [1])
    assert f"it is {DEMO}, built from commit abababababab by https://example.org/builder" in "\n".join(findings.notes)
    away = tmp_path / "model.tar.gz"
    shutil.copy(tarball, away)
    shutil.copy(owned.hub / statement_path(DEMO), tmp_path / "model.provenance.dsse.json")
    assert owned.verify(away, hub=str(owned.hub)).problems == []
    assert "signatures NOT verified" in owned.verify(away, signed=False).summary()
    assert "expected --hub=<its hub>" in owned.problem(away)
    away.write_bytes(away.read_bytes() + b"x")
    assert f"that of {DEMO}; do not load it" in owned.problem(away, signed=False)


def test_a_yanked_module_is_said_to_be_one(owned: Owned, tmp_path: Path) -> None:
    tarball = owned.hub / f"{DEMO}.tar.gz"
    edit_entry(owned.hub, DEMO, lambda entry: dataclasses.replace(entry, yanked=Yank("wrong labels", "2026-11-01")))
    sign_again(owned.hub, KEYS)
    findings = owned.verify(tarball)
    assert findings.problems == []
    assert "it was YANKED on 2026-11-01, do not use it: wrong labels" in findings.notes
    other = PublishedFile(f"{DEMO}.tar.gz", 1, "0" * 64)
    edit_entry(owned.hub, DEMO, lambda entry: dataclasses.replace(entry, files=(other, *entry.files[1:])))
    sign_again(owned.hub, KEYS)
    assert "the hub lists other bytes for it: sha256 0000" in owned.problem(tarball)
    document = hubs.read_document(owned.hub)
    del document["modules"][DEMO], document["aliases"][DEMO.rpartition("/")[0]]
    write_index(owned.hub, parse_index(owned.hub, document))
    sign_again(owned.hub, KEYS)
    assert f"the hub does not list {DEMO}: it was not released there, or not yet" in owned.verify(tarball).notes
    shutil.copytree(owned.hub / "metadata", tmp_path / "alone/metadata")
    findings = owned.verify(tarball, hub=tmp_path / "alone")
    assert "the signed index is not at hand, so nothing says whether the module was yanked" in findings.notes


def test_an_unpacked_module_is_verified_by_its_content(owned: Owned, tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    with tarfile.open(owned.hub / f"{DEMO}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    given = (True, owned.hub / statement_path(DEMO), owned.hub)
    assert owned.verify(folder, *given).problems == []
    (folder / "saved_model.pb").write_text("another program")
    assert "the digest of its files is" in owned.problem(folder, *given)
    assert "there is no statement beside it" in owned.problem(folder, signed=False)


def test_an_unsigned_statement_is_no_signature(owned: Owned, tmp_path: Path) -> None:
    envelope = parse_envelope((owned.hub / statement_path(DEMO)).read_bytes())
    unsigned = tmp_path / "unsigned.json"
    unsigned.write_bytes(render_envelope(Envelope(envelope.payload)))
    tarball = owned.hub / f"{DEMO}.tar.gz"
    assert "its statement is not signed" in owned.problem(tarball, statement=str(unsigned))
    assert owned.verify(tarball, signed=False, statement=str(unsigned)).problems == []
    unsigned.write_text("{}")
    assert "its statement: it is no DSSE envelope" in owned.problem(tarball, statement=str(unsigned))


# Over http, and as a command ------------------------------------------------------------------------------------------
class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Yields the address of a static host with a folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_hub_and_a_module_are_verified_over_http(owned: Owned, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(owned.hub) as address:
        assert owned.verify(address).problems == []
        assert owned.verify(f"{address}/{DEMO}.tar.gz").problems == []
        monkeypatch.setattr(readers, "LARGEST_SMALL", 100_000)  # larger files go to the disk
        (owned.hub / f"{DEMO}.tar.gz").write_bytes(bytes(200_000))
        list_again(owned.hub, DEMO, f"{DEMO}.tar.gz")
        card = owned.card
        (owned.hub / card).unlink()
        problems = owned.verify(address, signed=False).problems
        assert len(problems) == 3
        assert f"{address}/{card}: missing" in problems[0]
        assert f"claims/{DEMO}.json: claims" in problems[1]
        assert "is about the tarball" in problems[2]
        nothing, statement = f"{address}/nothing.tar.gz", f"{address}/{statement_path(DEMO)}"
        assert "HTTP 404" in owned.problem(nothing, signed=False, statement=statement)
    assert "cannot be downloaded" in owned.problem(address)


def test_a_password_in_an_address_is_not_shown(owned: Owned, tmp_path: Path) -> None:
    with served(owned.hub) as address:
        secret = address.replace("://", "://me:planted-password@")
        (owned.hub / owned.card).unlink()
        texts = [owned.problem(secret), owned.verify(secret).summary()]
        (owned.hub / statement_path(DEMO)).unlink()
        texts.append(owned.problem(f"{secret}/{DEMO}.tar.gz"))
        texts.append(owned.problem(f"{secret}/x.tar.gz", signed=False, statement=f"{secret}/y"))
    texts.append(owned.problem(secret, signed=False))
    assert not [text for text in texts if "planted-password" in text]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"planted-password" in path.read_bytes()]


def test_a_hub_is_verified_through_a_target(owned: Owned) -> None:
    """As object stores are; only the folder among targets needs no server."""
    reader = readers.TargetReader(open_target(str(owned.hub)))
    root, state = owned.root.read_bytes(), owned.hub.parent / "state"
    assert verify_hub(reader, root, state).problems == []
    (owned.hub / owned.card).unlink()
    with (owned.hub / f"{FE}.tar.gz").open("ab") as stream:
        stream.write(b"x")
    missing, longer = verify_hub(reader, root, state).problems
    assert "missing" in missing
    assert "got more bytes" in longer


def test_the_command_ends_with_1_and_a_line_for_each_problem(
    owned: Owned, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(owned.hub), "--root", str(owned.root), "--cache", str(tmp_path / "cache")]
    verify.main(words)
    assert capsys.readouterr().out.splitlines()[0].split(":")[0] == "root version 1"
    (owned.hub / owned.card).unlink()
    command = [sys.executable, "-m", "pipeline.verify", *words, "--json"]
    bad = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert json.loads(bad.stdout)["problems"] == bad.stderr.splitlines()[1:]
    assert "1 problem; 6 modules" in bad.stderr.splitlines()[0]
    with pytest.raises(Fault, match="expected a hub"):
        verify.main([str(tmp_path / "nothing"), "--json"])
    assert "expected a hub" in json.loads(capsys.readouterr().out)["problems"][0]
