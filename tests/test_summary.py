"""summary: what became of each member, from the records of its stages and from what the hub has."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from pipeline import summary
from pipeline.base.run_records import Outcome, RunRecord, record_refusal
from pipeline.collection import page as collection_page
from pipeline.dag.runs import Runs, State, read_page_runs, read_runs
from pipeline.facts.collection import read_collection
from tests.conftest import Stage, make, write_members
from tests.reports import REPORT, write_report

DAY = 86_400.0
NOW = 1_700_000_000.0


@pytest.fixture
def cards(tmp_path: Path) -> Path:
    """A collection of three members, which were written a day before anything ran."""
    write_members(tmp_path / "tiny", dict.fromkeys(("mini", "nano", "pico"), ("Mini/8", 16)))
    for path in (tmp_path / "tiny").glob("*.yaml"):
        os.utime(path, (NOW - DAY, NOW - DAY))
    return tmp_path / "tiny"


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


def record(
    artifacts: Path, member: str, stage: str, outcome: Outcome, at: float = 0, seconds: float = 2.0, sentence: str = ""
) -> None:
    """Writes the record of a run that began `at` seconds after NOW."""
    path = artifacts / f".runs/{member}/{stage}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    run = RunRecord(stage.split("-")[0], outcome, NOW + at, float(seconds), int(seconds * 1e9), sentence)
    path.write_text(json.dumps(asdict(run)))


def publish(artifacts: Path, member: str, version: int = 1, at: float = 100) -> None:
    """Writes a report, a receipt and the hub's files as publish leaves them `at` seconds after NOW."""
    hub, names = artifacts / "hub", [f"tester/{member}_{head}/{version}" for head in ("classification", "fe")]
    for name in (*(f"{name}.html" for name in names), "index.html", "tester/tester.md", "tester/tester.html"):
        (hub / name).parent.mkdir(parents=True, exist_ok=True)
        (hub / name).touch()
    index = json.loads((hub / "index.json").read_text()) if (hub / "index.json").exists() else {"modules": {}}
    entries: dict[str, dict[str, list[str]]] = {name: {"files": []} for name in names}
    (hub / "index.json").write_text(json.dumps({"modules": index["modules"] | entries}))
    folder = artifacts / member
    folder.mkdir(parents=True, exist_ok=True)
    write_report(folder / "report.json", REPORT)
    (folder / "published.json").write_text(json.dumps({"hub": str(hub), "published": entries}))
    os.utime(folder / "report.json", (NOW + at - 50,) * 2)
    os.utime(folder / "published.json", (NOW + at,) * 2)


def read(cards: Path, artifacts: Path, member: str = "mini") -> Runs:
    return read_runs(cards / f"{member}.yaml", read_collection(cards / "collection.yaml"), artifacts, artifacts / "hub")


# One member -----------------------------------------------------------------------------------------------------------
def test_a_member_waits_fails_and_is_published(cards: Path, artifacts: Path) -> None:
    assert read(cards, artifacts) == Runs("mini", State.WAITING, {})
    record(artifacts, "mini", "fetch", Outcome.DONE)
    assert read(cards, artifacts).state is State.WAITING
    record(artifacts, "mini", "validate", Outcome.FAILED, 10, sentence="too low")
    record(artifacts, "mini", "package-fe", Outcome.DONE, 50)  # beside it, with make -j
    failed = read(cards, artifacts)
    assert (failed.state, failed.failed, failed.sentence) == (State.FAILED, "validate", "too low")
    publish(artifacts, "mini")
    assert read(cards, artifacts).state is State.PUBLISHED


def test_a_stage_that_was_killed_is_no_success(cards: Path, artifacts: Path) -> None:
    record(artifacts, "mini", "convert", Outcome.RUNNING)
    killed = read(cards, artifacts)
    assert (killed.state, killed.failed, killed.sentence) == (State.RUNNING, "convert", "")
    assert summary.describe_state(killed) == "was killed or is running (convert)"


def test_a_stage_that_a_person_stopped_is_no_failure(cards: Path, artifacts: Path) -> None:
    record(artifacts, "mini", "convert", Outcome.STOPPED, sentence="interrupted; earlier outputs are kept")
    stopped = read(cards, artifacts)
    assert (stopped.state, stopped.failed, stopped.sentence) == (State.STOPPED, "convert", "")
    assert summary.describe_state(stopped) == "stopped (convert)"
    assert summary.count_states([stopped]) == "0 of 1 members published, 1 stopped"
    assert summary.show_run(stopped.records["convert"]) == "2.0 s, 2.00 GB, stopped"


def test_a_stage_that_was_refused_before_it_ran_counts_in_no_total(cards: Path, artifacts: Path) -> None:
    record_refusal(artifacts / ".runs/mini/convert.json", "convert", NOW, "no node is large enough")
    refused = read(cards, artifacts)
    assert (refused.state, refused.failed, refused.sentence) == (State.FAILED, "convert", "no node is large enough")
    assert summary.show_run(refused.records["convert"]) == "failed"
    assert summary.add_up([refused]) == []


def test_a_failure_beside_a_stage_that_was_stopped_is_shown(cards: Path, artifacts: Path) -> None:
    record(artifacts, "mini", "convert", Outcome.STOPPED)
    record(artifacts, "mini", "package-fe", Outcome.FAILED, 10, sentence="no such file")
    failed = read(cards, artifacts)
    assert (failed.state, failed.failed) == (State.FAILED, "package-fe")


def test_the_next_version_fails_while_the_earlier_one_stays(cards: Path, artifacts: Path) -> None:
    publish(artifacts, "mini")
    member = cards / "mini.yaml"
    member.write_text(member.read_text().replace("version: 1", "version: 2"))
    os.utime(member, (NOW + 200,) * 2)
    assert read(cards, artifacts).state is State.WAITING
    record(artifacts, "mini", "check", Outcome.FAILED, 300, sentence="no such variant")
    failed = read(cards, artifacts)
    assert summary.describe_state(failed) == "failed (check); what was published before stays"
    member.write_text(member.read_text().replace("version: 2", "version: 1"))  # put back, and make has nothing to do
    assert read(cards, artifacts).state is State.PUBLISHED


def test_a_hub_that_is_reached_by_a_link_is_the_same(cards: Path, artifacts: Path) -> None:
    publish(artifacts, "mini")
    (artifacts / "link").symlink_to("hub")
    (artifacts / "other").mkdir()
    collection = read_collection(cards / "collection.yaml")
    states = {
        name: read_runs(cards / "mini.yaml", collection, artifacts, artifacts / name).state
        for name in ("hub", "link", "other", "none")
    }
    assert states == {
        "hub": State.PUBLISHED, "link": State.PUBLISHED, "other": State.WAITING, "none": State.WAITING
    }  # fmt: skip


@pytest.mark.parametrize("what", ["another hub", "lost", "newer report", "damaged receipt", "damaged member"])
def test_what_the_hub_does_not_have_is_not_published(what: str, cards: Path, artifacts: Path) -> None:
    publish(artifacts, "mini")
    folder = artifacts / "mini"
    if what == "another hub":
        (artifacts / "hub").rename(artifacts / "other")
    elif what == "lost":
        (artifacts / "hub/tester/mini_fe/1.html").unlink()
    elif what == "newer report":
        os.utime(folder / "report.json", (NOW + DAY,) * 2)
    elif what == "damaged receipt":
        (folder / "published.json").write_text("{")
    else:
        (cards / "mini.yaml").write_text("module: [")
    assert read(cards, artifacts).state is State.WAITING


# The collection -------------------------------------------------------------------------------------------------------
def test_the_page_and_the_lines_name_what_failed_and_why(
    cards: Path, artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(artifacts, "mini")
    for member, seconds in (("mini", 200.0), ("nano", 3.0)):
        record(artifacts, member, "convert", Outcome.DONE, 20, seconds)
    record(artifacts, "nano", "validate", Outcome.FAILED, 30, 7000, "accuracy <b> is below\n  the minimum")
    out = tmp_path / "summary.html"
    summary.main([*map(str, (cards / "collection.yaml", artifacts, artifacts / "hub", out))])
    assert capsys.readouterr().out == (
        f"summary tiny: 1 of 3 members published, 1 failed, 1 not published yet; {out} has all of it\n"
        "  nano: failed (validate): accuracy <b> is below ...\n"
        "  The collection's page waits for all members; make publish-page COLLECTION=tiny publishes it of those that"
        " are published.\n"
    )
    html = out.read_text()
    assert "accuracy &lt;b&gt; is below\n  the minimum" in html
    assert '<td class="figure">3 min 23 s</td>' in html  # convert of both
    assert "<td>3 min 20 s, mini</td><td>200.00 GB, mini</td>" in html
    assert "1 h 56 min, 7000.00 GB, failed" in html
    assert html.count('<tr><th scope="row">pico</th>') == 1


def test_of_many_failures_the_lines_have_the_first(cards: Path) -> None:
    failed = [Runs(f"m{n:04}", State.RUNNING, {}, "convert") for n in range(1000)]
    lines = list(summary.list_lines("pool", failed, Runs("pool", State.WAITING, {}), cards / "out"))
    assert len(lines) == summary.LISTED + 3
    assert lines[1] == "  m0000: was killed or is running (convert)"
    assert lines[-2] == "  and 980 more"


def test_the_collections_page_has_no_member_that_the_hub_lacks(cards: Path, artifacts: Path) -> None:
    publish(artifacts, "mini")
    publish(artifacts, "nano", at=300)
    os.utime(artifacts / "nano/report.json", (NOW + DAY,) * 2)  # measured again, and publish failed
    collection, hub = read_collection(cards / "collection.yaml"), artifacts / "hub"
    text = collection_page(collection, cards, artifacts, hub=hub)
    assert "[mini](../../mini_classification/1.md)" in text
    assert "contains one Vision Transformer" in text
    assert "nano" not in text
    assert "pico" not in text


def test_a_collections_page_of_nothing_is_refused(cards: Path, artifacts: Path, stage: Stage) -> None:
    out = artifacts / "page.md"
    done = stage("collection", cards / "collection.yaml", artifacts, out, f"--published={artifacts}/hub")
    assert done.returncode == 1
    assert "it has no member of" in done.stderr
    assert not out.exists()


def publish_page(artifacts: Path, name: str = "published.json", at: float = 200) -> Path:
    """Writes the receipt and the hub's file of the page of `tiny`, as publish leaves them; returns the receipt."""
    hub, page = artifacts / "hub", "tester/collections/tiny/1"
    (hub / page).parent.mkdir(parents=True, exist_ok=True)
    (hub / f"{page}.html").touch()
    index = json.loads((hub / "index.json").read_text())
    (hub / "index.json").write_text(json.dumps(index | {"collections": {page: {"files": []}}}))
    receipt = artifacts / "collections/tiny" / name
    receipt.parent.mkdir(parents=True, exist_ok=True)
    receipt.write_text(json.dumps({"hub": str(hub), "published": {page: {"files": []}}}))
    os.utime(receipt, (NOW + at,) * 2)
    return receipt


def describe_page(artifacts: Path, *states: State) -> str:
    members = [Runs(f"m{number}", state, {}) for number, state in enumerate(states)]
    return summary.describe_page(read_page_runs("tiny", artifacts, artifacts / "hub"), members)


def test_what_became_of_the_collections_page(artifacts: Path) -> None:
    publish(artifacts, "mini")
    assert describe_page(artifacts, State.PUBLISHED) == "The collection's page is not published yet."
    record(artifacts, "collection-tiny", "collection", Outcome.FAILED, sentence="no hub_url")
    assert describe_page(artifacts, State.PUBLISHED) == "The collection's page failed (collection): no hub_url"
    publish_page(artifacts)
    assert describe_page(artifacts, State.PUBLISHED) == "The collection's page is published."
    assert "an earlier one" in describe_page(artifacts, State.PUBLISHED, State.WAITING)
    (artifacts / "hub/tester/collections/tiny/1.html").unlink()
    assert describe_page(artifacts, State.PUBLISHED) == "The collection's page is not published yet."


def test_the_page_of_some_members_is_not_that_of_all(artifacts: Path) -> None:
    publish(artifacts, "mini")
    partial = publish_page(artifacts, "published.partial.json")
    has_some = "The collection's page has those members alone that were published when it was made; "
    assert describe_page(artifacts, State.PUBLISHED, State.FAILED) == (
        f"{has_some}make publish-page COLLECTION=tiny makes it of those that are published now."
    )
    whole = f"{has_some}make publish-all COLLECTION=tiny makes it of all."
    assert describe_page(artifacts, State.PUBLISHED, State.PUBLISHED) == whole
    publish_page(artifacts, at=300)  # publish-all, afterwards
    assert describe_page(artifacts, State.PUBLISHED, State.PUBLISHED) == "The collection's page is published."
    os.utime(partial, (NOW + 400,) * 2)  # publish-page was stopped before it removed the other receipt
    assert describe_page(artifacts, State.PUBLISHED, State.PUBLISHED) == whole


def test_the_page_of_another_hub_is_not_published(artifacts: Path) -> None:
    publish(artifacts, "mini")
    publish_page(artifacts, "published.partial.json")
    page = read_page_runs("tiny", artifacts, artifacts / "other")
    assert summary.describe_page(page, []) == "The collection's page is not published yet."


@pytest.mark.parametrize(
    ("outcome", "text"), [(Outcome.STOPPED, "stopped"), (Outcome.RUNNING, "was killed or is running")]
)
def test_a_page_that_was_stopped_is_neither_published_nor_failed(outcome: Outcome, text: str, artifacts: Path) -> None:
    record(artifacts, "collection-tiny", "publish", outcome)
    assert describe_page(artifacts, State.PUBLISHED) == f"The collection's page: {text} (publish)."


# With make ------------------------------------------------------------------------------------------------------------
def test_a_faulty_member_stops_no_other(fresh: Path) -> None:
    cards = fresh / "model_cards/tiny"
    text = (cards / "mini.yaml").read_text()
    (cards / "lost.yaml").write_text(text.replace("name: mini", "name: lost").replace("mini.npz", "lost.npz"))
    (cards / "odd.yaml").write_text(text.replace("Mini/8", "Odd/8"))
    (cards / "torn.yaml").write_text(text + "a: [")
    done = make(fresh, "-k", "-j2", "fetch", "COLLECTION=tiny", "OFFLINE=1")
    assert done.returncode == 2
    assert (fresh / "artifacts/mini/checkpoint.npz").exists()
    done = make(fresh, "summary", "COLLECTION=tiny")
    assert done.returncode == 0, done.stderr
    assert "summary tiny: 0 of 4 members published, 3 failed, 1 not published yet; " in done.stdout
    assert "\n  lost: failed (fetch): no source has the checkpoint lost.npz" in done.stdout
    assert "\n  odd: failed (check): model_cards/tiny/odd.yaml:5: " in done.stdout
    assert "\n  torn: failed (check): model_cards/tiny/torn.yaml:" in done.stdout
    assert "what failed" in (fresh / "artifacts/collections/tiny/summary.html").read_text().lower()
    assert make(fresh, "fetch", "COLLECTION=tiny").stderr.startswith("stamps: model_cards/tiny/torn.yaml:")
    assert make(fresh, "clean", "COLLECTION=tiny").returncode == 0
    assert [path.name for path in (fresh / "artifacts").iterdir()] == []


def test_a_member_that_cannot_be_read_is_an_error_though_its_outputs_exist(fresh: Path) -> None:
    cards = fresh / "model_cards/tiny"
    text = (cards / "mini.yaml").read_text()
    assert make(fresh, "fetch", "COLLECTION=tiny").returncode == 0
    (cards / "mini.yaml").write_text(text + "a: [")
    (cards / "nano.yaml").write_text(text.replace("name: mini", "name: nano"))
    done = make(fresh, "-k", "fetch", "COLLECTION=tiny")
    assert done.returncode == 2
    assert "stamps: model_cards/tiny/mini.yaml:" in done.stderr
    assert (fresh / "artifacts/nano/checkpoint.npz").exists()
    for goal in ("convert", "validate", "formats", "package"):
        assert make(fresh, "-k", "-n", goal, "COLLECTION=tiny").returncode == 2, goal
    assert make(fresh, "-k", "fetch", "MODEL=nano").returncode == 0  # the fault is another member's
    (cards / "mini.yaml").write_text(text)
    assert make(fresh, "-k", "-q", "fetch", "COLLECTION=tiny").returncode == 0


@pytest.mark.slow
@pytest.mark.long
def test_the_page_of_those_that_are_published_until_all_are(tree: Path) -> None:
    everything, page = ("publish-all", "COLLECTION=tiny"), tree / "artifacts/hub/tester/collections/tiny/1.md"
    mini, rati = (tree / f"model_cards/tiny/{name}.yaml" for name in ("mini", "rati"))
    mini.write_text(mini.read_text().replace("title: mini", "title: Minimal"))
    whole = rati.read_text()
    rati.write_text(whole.replace("title: rati", "title: [rati"))
    done = make(tree, "-k", *everything)
    assert done.returncode == 2
    assert "publish mini\n" in done.stdout
    assert "Minimal" not in page.read_text()
    done = make(tree, "publish-page", "COLLECTION=tiny")
    assert done.returncode == 0, done.stderr
    assert "Minimal" in page.read_text()
    assert "[rati]" not in page.read_text()
    done = make(tree, "summary", "COLLECTION=tiny")
    assert "1 of 2 members published, 1 failed" in done.stdout
    assert "rati: failed (card); what was published before stays: model_cards/tiny/rati.yaml:" in done.stdout
    rati.write_text(whole)
    done = make(tree, *everything)
    assert done.returncode == 0, done.stderr
    assert "summary tiny: 2 of 2 members published; artifacts/collections/tiny/summary.html has all" in done.stdout
    assert "[rati]" in page.read_text()
    assert make(tree, "-q", *everything).returncode == 0


def test_messages_name_the_first_of_many_members(fresh: Path) -> None:
    cards = fresh / "model_cards/tiny"
    for number in range(5000):
        (cards / f"m{number:04}.yaml").write_text("")
    expected = "m0000 m0001 m0002 m0003 m0004 m0005 m0006 m0007 m0008 m0009 m0010 m0011 ... and 4989 more"
    assert f"Members: {expected}\n" in make(fresh, "help", "COLLECTION=tiny").stdout
    done = make(fresh, "-n", "fetch", "MODEL=n", "COLLECTION=tiny")
    assert f"unknown member MODEL=n; the members are: {expected}." in done.stderr
    done = make(fresh, "checked_settings", "COLLECTION=tiny")  # 5,000 names on a command line would be too many
    assert done.returncode == 0, done.stderr
    assert make(fresh, "clean", "COLLECTION=tiny").returncode == 0
    (cards / "a b.yaml").write_text("")
    assert (
        "model_cards/tiny/a: the name of a file in model_cards/ may have"
        in make(fresh, "help", "COLLECTION=tiny").stderr
    )
