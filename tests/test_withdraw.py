"""Yanking, deprecating and naming published versions: what changes in the hub, what stays, and what is refused."""

import dataclasses
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.base import yaml_sections
from pipeline.base.fault import Fault
from pipeline.facts.collection import Module
from pipeline.hub import integrity
from pipeline.hub.folder import locked, read_index
from pipeline.hub.index import Index
from pipeline.hub.withdrawing import deprecate, undeprecate, unyank, yank
from pipeline.withdraw import change_version, give_alias, main
from tests.conftest import ROOT
from tests.hubs import publish, write_hub
from tests.reports import REPORT

NAME = "vit-publisher/vit_demo_classification"
FIRST, SECOND = f"{NAME}/1", f"{NAME}/2"
TODAY = datetime.now(UTC).date().isoformat()
REASON = "its labels were *shuffled* <b>, 50 %"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub that tests must not change, with vit_demo in two versions."""
    return write_hub(tmp_path_factory.mktemp("made"))


@pytest.fixture
def hub(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "hub"))


def page(hub: Path, path: str) -> str:
    return (hub / path).read_text(encoding="utf-8")


def tarballs(hub: Path) -> dict[str, bytes]:
    return {str(path.relative_to(hub)): path.read_bytes() for path in hub.rglob("*.tar.gz")}


def problems(hub: Path, index: Index) -> list[str]:
    """Returns what the audit says of the files, the statuses and the successors of a hub."""
    return [
        *integrity.damaged_files(hub, index),
        *integrity.unlisted_pages(hub, index),
        *integrity.wrong_statuses(hub, index),
        *integrity.wrong_aliases(hub, index),
        *integrity.dead_successors(hub, index),
    ]


def test_a_yank_is_on_every_page_and_changes_no_tarball(hub: Path) -> None:
    before = tarballs(hub)
    entry = change_version(hub, SECOND, yank(REASON, "2026-11-29"))
    index = read_index(hub)
    assert index.modules[SECOND] == entry
    assert (entry.revision, index.aliases[NAME]["latest"]) == (2, 1)
    assert problems(hub, index) == []
    assert tarballs(hub) == before
    card = page(hub, f"{SECOND}.md")
    assert "## Yanked\n\n**Do not use this version.** Its publisher withdrew it on 2026-11-29: its labels were" in card
    assert card.index("## Yanked") < card.index("## Overview")
    html = page(hub, f"{SECOND}.html")
    assert "Yanked: do not use this version." in html
    assert "its labels were *shuffled* &lt;b&gt;, 50 %" in html
    assert "revision 2" in html
    assert f'50 %. Use <a href="1.html">{FIRST}</a> instead.' in html  # an older version that may be used
    assert '</a> <span class="mark yanked">yanked</span></li>' in page(hub, "vit-publisher/collections/demo/1.html")
    start = page(hub, "index.html")
    assert SECOND.replace("/", "/<wbr>").replace("_", "_<wbr>") not in start
    assert f"{FIRST}.html" in start
    publisher = page(hub, "vit-publisher/vit-publisher.md")
    assert "(vit_demo_classification/2.md), ViT-Mini4 on Fashion-MNIST, image-classification, yanked\n" in publisher
    assert '<a href="2.html">2</a>' in page(hub, f"{FIRST}.html")  # the list of versions has it, marked
    assert '<span class="mark yanked">yanked</span>' in page(hub, f"{FIRST}.html")


def test_taking_a_yank_back_gives_the_same_card_again(hub: Path) -> None:
    card = page(hub, f"{SECOND}.md")
    change_version(hub, SECOND, yank("wrong", TODAY))
    change_version(hub, SECOND, yank("wrong in another way", "2031-01-01"))
    entry = change_version(hub, SECOND, unyank)
    assert (entry.yanked, entry.revision) == (None, 4)
    assert page(hub, f"{SECOND}.md") == card
    assert "mark yanked" not in page(hub, "vit-publisher/collections/demo/1.html")
    assert read_index(hub).aliases[NAME]["latest"] == 2
    with pytest.raises(Fault, match=f"{SECOND}: not yanked, so there is nothing to take back"):
        change_version(hub, SECOND, unyank)


def test_another_reason_keeps_the_date(hub: Path) -> None:
    change_version(hub, SECOND, yank("wrong", "2026-01-01"))
    entry = change_version(hub, SECOND, yank("wrong labels", "2026-02-02"))
    assert entry.yanked
    assert (entry.yanked.reason, entry.yanked.date) == ("wrong labels", "2026-01-01")
    revision = entry.revision
    assert change_version(hub, SECOND, yank("wrong labels", "2026-02-02")).revision == revision  # nothing to write


def test_a_deprecated_version_leads_to_its_successor(hub: Path) -> None:
    change_version(hub, FIRST, deprecate(SECOND, TODAY))
    assert problems(hub, read_index(hub)) == []
    assert f"**Use [{SECOND}](2.md) instead**" in page(hub, f"{FIRST}.md")
    assert f'Use <a href="2.html">{SECOND}</a> instead' in page(hub, f"{FIRST}.html")
    assert "There is a newer version" not in page(hub, f"{FIRST}.html")  # said already
    change_version(hub, FIRST, yank("worse than 2", TODAY))
    card = page(hub, f"{FIRST}.md")
    assert "## Yanked" in card
    assert "## Deprecated" in card
    change_version(hub, FIRST, undeprecate)
    assert "## Deprecated" not in page(hub, f"{FIRST}.md")
    assert "## Yanked" in page(hub, f"{FIRST}.md")


def test_a_version_that_is_published_again_stays_withdrawn(hub: Path, tmp_path: Path) -> None:
    change_version(hub, SECOND, yank("wrong", TODAY))
    give_alias(hub, FIRST, "stable")
    demo = ROOT / "model_cards/demo/vit_demo.yaml"
    module = yaml_sections.load(demo, "module", Module)
    publish(hub, tmp_path / "again", demo, dataclasses.replace(module, version=2), REPORT)
    index = read_index(hub)
    assert (index.modules[SECOND].revision, index.modules[SECOND].yanked is not None) == (2, True)
    assert index.aliases[NAME] == {"latest": 1, "stable": 1}
    edited = dataclasses.replace(module, version=2, note="Other words.")
    publish(hub, tmp_path / "edited", demo, edited, REPORT)
    index = read_index(hub)
    assert index.modules[SECOND].revision == 3
    assert "## Yanked" in page(hub, f"{SECOND}.md")
    assert problems(hub, index) == []
    assert "## Yanked" not in page(hub, f"{FIRST}.md")


def test_an_alias_is_in_the_index_and_on_the_page(hub: Path) -> None:
    give_alias(hub, FIRST, "stable")
    assert read_index(hub).aliases[NAME] == {"latest": 2, "stable": 1}
    assert json.loads(page(hub, "index.json"))["aliases"][NAME] == {"latest": 2, "stable": 1}
    assert ">stable<" in page(hub, f"{SECOND}.html")
    give_alias(hub, SECOND, "stable")
    assert read_index(hub).aliases[NAME] == {"latest": 2, "stable": 2}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["yank", "HUB", f"{NAME}/3", "--reason", "x"], f"MODULE={NAME}/3: the hub has no such version (did you mean"),
        (["yank", "HUB", NAME, "--reason", "x"], f"MODULE={NAME}: name the version, too; this module has 2, 1"),
        (["yank", "HUB", FIRST, "--reason", ""], "REASON is '', expected a line of 1 to 500 characters; say in one"),
        (["yank", "HUB", FIRST, "--reason", "a\nb"], "REASON is 'a\\nb', expected a line"),
        (["yank", "HUB", FIRST, "--reason", "x" * 501], "expected a line of 1 to 500 characters"),
        (["unyank", "HUB", FIRST], "not yanked, so there is nothing to take back"),
        (["undeprecate", "HUB", FIRST], "not deprecated, so there is nothing to take back"),
        (["deprecate", "HUB", FIRST, "--successor", FIRST], "a version cannot replace itself"),
        (["deprecate", "HUB", FIRST, "--successor", "a/b/1"], "FOR=a/b/1: the hub has no such version"),
        (["alias", "HUB", FIRST, "--name", "latest"], "ALIAS=latest: it is the newest released version"),
        (["alias", "HUB", FIRST, "--name", "Stable 1"], "ALIAS=Stable 1: expected lower-case letters"),
    ],
)
def test_refusals_change_nothing(hub: Path, arguments: list[str], message: str) -> None:
    with locked(hub) as lock:
        lock.sweep()  # a copied hub is not known to be clean
    before = {path: path.read_bytes() for path in hub.rglob("*") if path.is_file()}
    with pytest.raises(Fault) as refused:
        main([str(hub) if word == "HUB" else word for word in arguments])
    assert message in str(refused.value)
    assert {path: path.read_bytes() for path in hub.rglob("*") if path.is_file()} == before


def test_no_version_leads_to_a_withdrawn_one(hub: Path) -> None:
    change_version(hub, SECOND, yank("wrong", TODAY))
    with pytest.raises(Fault, match=f"FOR={SECOND}: it is yanked; name a version that people may use"):
        change_version(hub, FIRST, deprecate(SECOND, TODAY))
    with pytest.raises(Fault, match=r"it is yanked \(wrong\); name a version that people may use"):
        give_alias(hub, SECOND, "stable")


def test_the_command_names_what_still_leads_to_a_yanked_version(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change_version(hub, FIRST, deprecate(SECOND, TODAY))
    give_alias(hub, SECOND, "stable")
    main(["yank", str(hub), SECOND, "--reason", "wrong"])
    out = capsys.readouterr().out
    assert f"{FIRST} is deprecated for it: name another version with make deprecate or make alias" in out
    assert "the alias stable stands for it" in out
    assert any("which is yanked itself" in problem for problem in problems(hub, read_index(hub)))


def test_a_folder_that_is_no_hub_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="no such folder; expected a hub"):
        main(["yank", str(tmp_path / "none"), FIRST, "--reason", "x"])
    assert not (tmp_path / "none").exists()


def test_a_card_that_somebody_edited_is_not_overwritten(hub: Path) -> None:
    entry = change_version(hub, SECOND, yank("wrong", TODAY))
    assert entry.card
    path = hub / entry.card.path
    path.write_text(path.read_text().replace("**Do not use this version.**", "Fine."))
    with pytest.raises(Fault, match="expected the section 'Yanked' as make wrote it; publish the card again first"):
        change_version(hub, SECOND, unyank)
