"""The scatter plot is well-formed SVG, whatever its texts and points."""

import xml.etree.ElementTree as ElementTree

from pipeline.pool.plot import Point, scatter

SVG = "{http://www.w3.org/2000/svg}"


def test_a_plot_without_points_is_well_formed() -> None:
    root = ElementTree.fromstring(scatter("a & b", "<none>", "score", [], []))
    assert (root.findtext(f"{SVG}title"), root.findtext(f"{SVG}desc")) == ("a & b", "<none>")


def test_points_with_a_label_stand_out() -> None:
    root = ElementTree.fromstring(scatter("t", "d", "score", [Point(100, 0.8), Point(200, 0.9, "B & C")], ["note"]))
    assert [circle.attrib["class"] for circle in root.iter(f"{SVG}circle")] == ["dot", "marked"]
    assert [text.text for text in root.findall(f"{SVG}text[@class='label']")] == ["B & C"]
