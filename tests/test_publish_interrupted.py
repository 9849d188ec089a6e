"""publish, stopped before each of its changes: the hub is whole all the same, and the next publish completes it."""

import dataclasses
import json
import shutil
from pathlib import Path

from pipeline.base.stored_names import plain_path
from pipeline.facts.report import Plot, load_report
from pipeline.hub.folder import read_index
from tests.hubs import read_document
from tests.publishing_kills import find_damage, kill_before
from tests.reports import write_report
from tests.test_publish import files, publish, write_member

# Changes from one stop to the next; benchmarks.publishing_kills stops publish before every change. A first publication
# writes all pages of the documentation, too.
_STRIDE, _FIRST_STRIDE = 7, 25
_SVG = '<svg xmlns="http://www.w3.org/2000/svg"><title>{}</title></svg>'


def write_edition(folder: Path, text: str) -> Path:
    """Writes a member whose cards and plot have this text."""
    write_member(folder)
    report = dataclasses.replace(load_report(folder / "report.json"), plots=(Plot("blocks.svg", "the blocks"),))
    write_report(folder / "report.json", report)
    (folder / "plots").mkdir(exist_ok=True)
    (folder / "plots/blocks.svg").write_text(_SVG.format(text))
    for name in ("classification", "fe"):
        (folder / f"{name}.md").write_text(f"# Module {name}\n\n{text}\n")
    return folder


def test_an_interrupted_edit_of_a_card_leaves_an_index_that_agrees_with_the_disk(tmp_path: Path) -> None:
    """The index, and its export, list the earlier cards or the new ones, and those are there."""
    hub, member = tmp_path / "hub", write_edition(tmp_path / "mini", "earlier")
    publish(member, hub)
    shutil.copytree(hub, tmp_path / "earlier")
    write_edition(member, "corrected")
    publish(member, hub)
    corrected = files(hub)
    assert b"corrected" in corrected["tester/mini_fe/1.md"]
    assert sum(name.endswith(".svg") for name in corrected) == 5  # two copies for each head, and the icon
    change = 1
    while True:
        shutil.rmtree(hub)
        shutil.copytree(tmp_path / "earlier", hub)
        if not kill_before(change, lambda: publish(member, hub)):
            break
        assert find_damage(hub) == [], change
        publish(member, hub)
        assert files(hub) == corrected, change
        change += _STRIDE
    assert change > 20


def test_an_interrupted_first_publication_leaves_a_start_page_whose_links_work(tmp_path: Path) -> None:
    hub, member = tmp_path / "hub", write_edition(tmp_path / "mini", "text")
    publish(member, hub)
    whole = files(hub)
    change = 1
    while True:
        shutil.rmtree(hub)
        if not kill_before(change, lambda: publish(member, hub)):
            break
        assert find_damage(hub) == [], change
        publish(member, hub)
        assert files(hub) == whole, change
        change += _FIRST_STRIDE
    assert change > 60


def test_a_page_is_listed_once_the_index_is_written_and_its_copy_follows(tmp_path: Path) -> None:
    hub, member = tmp_path / "hub", write_edition(tmp_path / "mini", "earlier")
    publish(member, hub)
    (first,) = (file for file in read_index(hub).modules["tester/mini_fe/1"].files if file.page.endswith(".md"))
    write_edition(member, "corrected")
    publish(member, hub)
    (second,) = (file for file in read_index(hub).modules["tester/mini_fe/1"].files if file.page.endswith(".md"))
    assert first.page == second.page == "tester/mini_fe/1.md"
    assert first.path != second.path
    assert not (hub / first.path).exists()
    assert (hub / second.path).read_bytes() == (hub / second.page).read_bytes()


def test_a_hub_whose_index_lists_plain_pages_is_published_to(tmp_path: Path) -> None:
    """As older versions wrote it."""
    hub, member = tmp_path / "hub", write_edition(tmp_path / "mini", "earlier")
    publish(member, hub)
    document = read_document(hub)
    for entry in document["modules"].values():
        for file in entry["files"]:
            if plain_path(file["path"]) != file["path"]:
                (hub / file["path"]).unlink()
                file["path"] = plain_path(file["path"])
    shutil.rmtree(hub / "index")
    (hub / "index.json").write_text(json.dumps(document))
    assert find_damage(hub) == []
    write_edition(member, "corrected")
    for change in range(1, 30, _STRIDE):
        kill_before(change, lambda: publish(member, hub))
        assert find_damage(hub) == []
    publish(member, hub)
    assert find_damage(hub) == []
    assert "corrected" in (hub / "tester/mini_fe/1.md").read_text()
