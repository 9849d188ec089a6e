"""What hub.yaml of a hub, and that of its target, ask of a release; and what verify says of it."""

import dataclasses
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from pipeline.base.fault import Fault
from pipeline.hub.folder import read_index
from pipeline.hub.settings import FILE
from pipeline.release import release
from pipeline.releasing.local_hub import read_local_hub
from pipeline.releasing.plan import Change, Plan
from pipeline.releasing.planning import make_plan
from pipeline.targets.interface import Target
from pipeline.verifying.hub import verify_hub
from pipeline.verifying.readers import FolderReader
from tests.releasing.hubs import PUBLIC
from tests.signed_hub import edit_entry, state_modules

DEMO = "vit-publisher/vit_demo_fe/1"
URL = f"url: {PUBLIC}\n"
ACCURACY, SIGNATURE = (f"{URL}policy:\n  require_{what}: true\n" for what in ("accuracy", "signature"))


def plan_of(hub: Path, target: Target) -> Plan:
    return make_plan(read_local_hub(hub), target)


def refusals(hub: Path, target: Target) -> set[str]:
    return {file.reason for file in plan_of(hub, target).refused}


def release_all(hub: Path, target: Target) -> None:
    release(read_local_hub(hub), target, None, hub.parent / "receipts")


def problems(place: Path) -> list[str]:
    return verify_hub(FolderReader(place), None, place).problems


def test_signatures_that_the_hub_requires(hub: Path, target: Target) -> None:
    (hub / FILE).write_text(SIGNATURE)
    (reason,) = refusals(hub, target)
    assert reason == f"{FILE} requires signed statements; publish the member again with SIGN=<key of release>"
    state_modules(hub, None)
    assert refusals(hub, target) == {reason}
    assert [
        problem for problem in problems(hub) if "it requires signatures, and 2 modules have no signature" in problem
    ]
    state_modules(hub, CryptoSigner.generate_ed25519())
    assert refusals(hub, target) == set()
    findings = verify_hub(FolderReader(hub), None, hub)
    assert findings.problems == []
    assert [note for note in findings.notes if "the index has none: run make keys" in note]


def test_accuracies_that_the_hub_requires(hub: Path, target: Target) -> None:
    (hub / FILE).write_text(ACCURACY)
    assert refusals(hub, target) == set()
    edit_entry(hub, DEMO, lambda entry: dataclasses.replace(entry, measured=None, waived="for a test"))
    (reason,) = refusals(hub, target)
    assert f"{FILE} requires a measured accuracy" in reason


def test_what_the_target_requires_counts_and_stays(hub: Path, target: Target) -> None:
    release_all(hub, target)
    assert Path(target.address, FILE).read_text() == URL
    (hub / FILE).write_text(ACCURACY)
    (file,) = (file for file in plan_of(hub, target).files if file.path == FILE)
    assert file.change is Change.CHANGED
    release_all(hub, target)
    assert Path(target.address, FILE).read_text() == ACCURACY
    (hub / FILE).write_text(URL)  # as another publisher has it
    release_all(hub, target)
    assert Path(target.address, FILE).read_text() == ACCURACY
    Path(target.address, FILE).write_text(SIGNATURE)
    assert len(refusals(hub, target)) == 1
    Path(target.address, FILE).write_text(f"{URL}publisher: somebody-else\n")
    assert refusals(hub, target) == {f"{FILE} admits the publisher somebody-else alone"}
    (hub / FILE).write_text(f"{URL}publisher: vit-publisher\n")
    with pytest.raises(Fault, match="the hub of somebody-else, and yours is that of vit-publisher"):
        plan_of(hub, target)


def test_the_addresses_must_agree(hub: Path, target: Target) -> None:
    release_all(hub, target)
    other = Path(target.address, FILE)
    for text, message in ((URL.replace("hub.", "other."), "other.example.org"), ("url: [", "not valid YAML")):
        other.write_text(text)
        with pytest.raises(Fault, match=message) as raised:
            plan_of(hub, target)
        assert str(raised.value).startswith(str(other))
        assert message in " ".join(problems(Path(target.address)))
    (hub / FILE).write_text(URL.replace("hub.", "other."))
    with pytest.raises(Fault, match=r"but the hub was published for https://hub\.example\.org; correct the line"):
        read_local_hub(hub)
    assert read_index(hub).modules
