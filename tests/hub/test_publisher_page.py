"""A publisher's page of any length is checked in pieces: every line of it, once."""

from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.cards.page import LARGEST_PAGE
from pipeline.facts.collection import Publisher
from pipeline.hub import integrity
from pipeline.hub.entries import ModuleEntry, PublishedFile
from pipeline.hub.publisher_page import render_publisher, split_page

PUBLISHER = Publisher("tester", "Tester", "For tests.")


def write_page(hub: Path, count: int) -> Path:
    """Writes the page of a publisher of many modules, and a file for the card of each."""
    modules = []
    for number in range(count):
        handle = f"tester/m{number:05}_fe/1"
        modules.append(
            ModuleEntry(handle, "M", "image-feature-vector", (PublishedFile(f"{handle}.tar.gz", 1, "0" * 64),))
        )
        (hub / handle).parent.mkdir(parents=True)
        (hub / f"{handle}.md").touch()
    path = hub / "tester/tester.md"
    path.write_text(render_publisher(PUBLISHER, modules, ()))
    return path


def problems(hub: Path, path: Path) -> list[tuple[int, str]]:
    found = integrity.publisher_page_problems(hub, path, "# Publisher tester")
    return [(problem.line, problem.text) for problem in found]


def test_each_line_of_a_long_page_is_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.hub.publisher_page.LARGEST_PAGE", 4_000)
    path = write_page(tmp_path, 200)
    text = path.read_text()
    assert len(split_page(text, "x")) > 5
    assert problems(tmp_path, path) == []
    for number in (0, 77, 199):
        (tmp_path / f"tester/m{number:05}_fe/1.md").unlink()
    lines = text.splitlines()
    places = [
        lines.index(line) + 1 for line in lines if any(f"[tester/m{number:05}_fe" in line for number in (0, 77, 199))
    ]
    assert [line for line, text in problems(tmp_path, path) if "there is no such file" in text] == places
    path.write_text(
        text.replace("For tests.", "See [that](none.md).").replace("# Publisher tester", "# Publisher other")
    )
    found = problems(tmp_path, path)
    assert [text for _, text in found if "none.md" in text] == [
        "the link 'none.md' is dead: there is no such file in the hub"
    ]
    assert [line for line, text in found if "the first line is" in text] == [1]


def test_a_short_page_is_one_piece(tmp_path: Path) -> None:
    text = write_page(tmp_path, 3).read_text()
    assert split_page(text, "x") == [(text, 0)]
    assert split_page("# Publisher tester\n", "x") == [("# Publisher tester\n", 0)]
    with pytest.raises(Fault, match=r"^x: it has more than 250,000 bytes before its list of modules"):
        split_page("x" * LARGEST_PAGE + "y\n\n### Modules\n\n", "x")
