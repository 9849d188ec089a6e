"""Releases to a signed target: what is signed is what verify finds, whatever is edited or interrupted meanwhile."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.keys import read_shards, sign_with
from pipeline.release import release
from pipeline.releasing.local_hub import read_local_hub
from pipeline.releasing.signing import Signing
from pipeline.targets.interface import Target
from pipeline.targets.open import open_target
from pipeline.trust.metadata import first_metadata
from pipeline.trust.roles import Role
from pipeline.verifying.findings import Findings
from pipeline.verifying.hub import verify_hub
from pipeline.verifying.readers import FolderReader
from tests.releasing.hubs import correct_card, halves
from tests.releasing.watched import Watched
from tests.trust.signed import change, make_keys

DEMO = "vit-publisher/vit_demo_fe/1"
KEYS = make_keys()
ONLINE = [KEYS[role] for role in (Role.RELEASE, Role.SNAPSHOT, Role.TIMESTAMP)]


class Killed(Exception):
    """Ends a release, as a kill does."""


def publish(hub: Path, target: Target, signing: Signing | None) -> None:
    local = read_local_hub(hub)
    release(local, target, None, hub.parent / f"receipts of {hub.name}", signing)


@pytest.fixture(scope="module")
def original(released_hub: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target that has a release, and is signed. Tests must not change it."""
    folder = tmp_path_factory.mktemp("signed")
    target = open_target(str(folder / "target"))
    publish(Path(shutil.copytree(released_hub, folder / "hub")), target, None)
    public = {role: signer.public_key for role, signer in KEYS.items()}
    shards = read_shards(target)
    sign_with(target, lambda _: first_metadata(public, shards, change(KEYS)))
    return folder / "target"


@pytest.fixture
def signed(original: Path, tmp_path: Path) -> Target:
    """A copy of it that a test may change."""
    return open_target(str(shutil.copytree(original, tmp_path / "target")))


def root_of(target: Target) -> bytes:
    return (Path(target.address) / "metadata/1.root.json").read_bytes()


def verify(target: Target, state: Path) -> Findings:
    return verify_hub(FolderReader(Path(target.address)), root_of(target), state)


def test_a_signed_release_is_verified_with_the_root(hub: Path, signed: Target, tmp_path: Path) -> None:
    assert verify(signed, tmp_path / "state").problems == []
    correct_card(hub, DEMO, "It was corrected.")
    with pytest.raises(Fault, match="it is signed, so a release needs keys"):
        publish(hub, signed, None)
    publish(hub, signed, Signing(ONLINE, root_of(signed)))
    findings = verify(signed, tmp_path / "state")
    assert (findings.problems, findings.notes) == ([], [note for note in findings.notes if "no statement" in note])
    assert next(state.version for state in findings.roles if state.role is Role.RELEASE) == 2


def test_what_somebody_has_edited_in_the_target_is_not_signed(hub: Path, signed: Target, tmp_path: Path) -> None:
    folder = Path(signed.address)
    for path in (folder / "index").glob("??.json"):
        path.write_text(path.read_text().replace("Fashion", "Fishing"))
    assert verify(signed, tmp_path / "state").problems
    correct_card(hub, DEMO, "It was corrected.")
    publish(hub, signed, Signing(ONLINE))
    assert verify(signed, tmp_path / "state").problems == []
    assert not [path for path in (folder / "index").iterdir() if "Fishing" in path.read_text()]


@pytest.mark.parametrize("count", [5, 11])
def test_a_release_that_is_killed_leaves_a_hub_that_is_verified(
    hub: Path, signed: Target, tmp_path: Path, count: int
) -> None:
    correct_card(hub, DEMO, "It was corrected.")
    writes = 0

    def before(operation: str, path: str) -> None:
        nonlocal writes
        writes += not path.startswith(".probe/")
        if writes > count:
            raise Killed

    with pytest.raises(Killed):
        publish(hub, Watched(signed, before, lambda operation, path: None), Signing(ONLINE))
    assert verify(signed, tmp_path / "state").problems == []
    publish(hub, signed, Signing(ONLINE))
    assert verify(signed, tmp_path / "state").problems == []


def test_two_publishers_sign_at_once(released_hub: Path, signed: Target, tmp_path: Path) -> None:
    hubs = halves(released_hub, tmp_path / "halves")
    for half in hubs:
        correct_card(half, f"vit-publisher/vit_demo_fe/{half.name}", "It was corrected.")
    with ThreadPoolExecutor() as pool:
        targets = [open_target(signed.address) for _ in hubs]
        list(pool.map(publish, hubs, targets, [Signing(ONLINE)] * 2))
    findings = verify(signed, tmp_path / "state")
    assert findings.problems == []
    assert sum("It was corrected." in path.read_text() for path in Path(signed.address).rglob("[12].md")) == 2
