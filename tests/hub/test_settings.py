"""hub.yaml: written by the first publish, and the same for whoever publishes after that."""

from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.facts.report import load_report
from pipeline.hub.folder import read_root
from pipeline.hub.settings import HubSettings, Policy, public_url, read_settings
from pipeline.publish import Outputs, publish_member
from tests.reports import not_measured, write_report
from tests.test_publish import COLLECTION, MODULE, files, publish, write_member

URL = "https://hub.example.org"


@pytest.fixture
def member(tmp_path: Path) -> Path:
    return write_member(tmp_path / "artifacts/mini")


@pytest.fixture
def new_hub(tmp_path: Path) -> Path:
    return tmp_path / "published"


def publish_at(member: Path, hub: Path, url: str) -> None:
    outputs = Outputs("mini", MODULE, COLLECTION, member, load_report(member / "report.json"))
    publish_member(outputs, hub, member / "published.json", url)


def test_the_first_publish_writes_the_address(member: Path, new_hub: Path) -> None:
    assert public_url(new_hub, None, move=False) is None
    publish(member, new_hub)
    assert read_settings(new_hub) == HubSettings(COLLECTION.hub_url)
    root = read_root(new_hub)
    assert root
    assert root.url == COLLECTION.hub_url


def test_later_publishes_keep_the_address_and_another_is_refused(member: Path, new_hub: Path) -> None:
    publish_at(member, new_hub, URL)
    for given in (None, URL, f"{URL}/"):
        assert public_url(new_hub, given, move=False) == URL
    with pytest.raises(
        Fault, match=r"HUB_URL=http://localhost:8080: the hub .* is at https://hub\.example\.org, .*MOVE=1"
    ):
        public_url(new_hub, "http://localhost:8080", move=False)


def test_a_hub_moves_when_that_is_asked_for(member: Path, new_hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish_at(member, new_hub, URL)
    (new_hub / "hub.yaml").write_text(f"# ours\npublisher: tester\nurl: {URL}  # for now\n")
    with pytest.raises(Fault, match="MOVE=1: expected the new address of the hub, HUB_URL="):
        public_url(new_hub, None, move=True)
    publish_at(member, new_hub, public_url(new_hub, "https://new.example.org/", move=True) or "")
    assert (new_hub / "hub.yaml").read_text() == '# ours\npublisher: tester\nurl: "https://new.example.org"\n'
    assert f"moved from {URL} to https://new.example.org; its other cards name the old" in capsys.readouterr().out
    root = read_root(new_hub)
    assert root
    assert root.url == "https://new.example.org"


def test_members_of_another_publisher_are_refused(member: Path, new_hub: Path) -> None:
    publish(member, new_hub)
    (new_hub / "hub.yaml").write_text(f"url: {COLLECTION.hub_url}\npublisher: somebody\n")
    before = files(new_hub)
    with pytest.raises(Fault, match="this hub is for the publisher somebody, not tester; publish to another hub"):
        publish(member, new_hub)
    assert files(new_hub) == before


def test_the_policy_of_a_hub_holds_for_whoever_publishes(member: Path, new_hub: Path) -> None:
    new_hub.mkdir()
    settings = f"url: {COLLECTION.hub_url}\npolicy:\n  require_accuracy: true\n"
    (new_hub / "hub.yaml").write_text(settings)
    assert read_settings(new_hub) == HubSettings(COLLECTION.hub_url, None, Policy(require_accuracy=True))
    report = load_report(member / "report.json")
    write_report(member / "report.json", not_measured(report, "no images were given"))
    with pytest.raises(Fault, match=r"its accuracy was not measured .*, and hub\.yaml of the hub requires it"):
        publish(member, new_hub)
    write_report(member / "report.json", report)
    publish(member, new_hub)
    (new_hub / "hub.yaml").write_text(settings + "  require_signature: true\n")
    with pytest.raises(Fault, match=r"hub\.yaml of the hub requires signed statements; sign them with SIGN=<key>"):
        publish(member, new_hub)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("url: hub.example.org\n", "expected http"),
        ("url: https://me:secret@hub.example.org\n", "has a user name"),
        ("publisher: x\n", "url"),
        ("url: https://a.example\nurls: x\n", "urls"),
        ("url: https://a.example\npolicy:\n  require_accuracy: maybe\n", "require_accuracy"),
        ("[", "not valid YAML"),
    ],
)
def test_a_damaged_hub_yaml_is_one_sentence(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "hub.yaml").write_text(text)
    with pytest.raises(Fault, match=rf"hub\.yaml.*{reason}") as caught:
        read_settings(tmp_path)
    assert "secret" not in str(caught.value)
