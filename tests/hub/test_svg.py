"""Plots are published, and SVG files that a browser would run are refused."""

from random import Random

import pytest

from pipeline.accuracy.plots import render_plots
from pipeline.base.templates import TEMPLATES
from pipeline.hub.svg import find_problem
from pipeline.pool.plot import Point, scatter
from tests.hostile.damage import damage
from tests.hubs import PLOT
from tests.reports import REPORT

XLINK = 'xmlns:x="http://www.w3.org/1999/xlink"'


def svg(content: str, attributes: str = "", before: str = "") -> str:
    return f'{before}<svg xmlns="http://www.w3.org/2000/svg" {attributes}>{content}</svg>'


# A file, and what its refusal names.
PAYLOADS = [
    (svg("<script>window.hostile = 1</script>"), "the element 'script'"),
    (svg('<script href="data:text/javascript,window.hostile=1"/>'), "the element 'script'"),
    (svg(f'<script {XLINK} x:href="data:,window.hostile=1"/>'), "the element 'script'"),
    (svg('<h:script xmlns:h="http://www.w3.org/1999/xhtml">window.hostile = 1</h:script>'), "the element 'script'"),
    (svg("", 'onload="window.hostile = 1"'), "the attribute onload="),
    (svg('<rect width="9" height="9" onclick="window.hostile = 1"/>'), "the attribute onclick="),
    (svg('<rect ONCLICK="window.hostile = 1"/>'), "the attribute ONCLICK="),
    (svg('<path onfocus="window.hostile = 1" tabindex="1" autofocus=""/>'), "the attribute onfocus="),
    (
        svg('<foreignObject><b xmlns="http://www.w3.org/1999/xhtml">x</b></foreignObject>'),
        "the element 'foreignObject'",
    ),
    (svg('<iframe xmlns="http://www.w3.org/1999/xhtml" src="javascript:1"/>'), "the element 'iframe'"),
    (svg('<a href="javascript:window.hostile=1"><text>x</text></a>'), "the element 'a'"),
    (svg(f'<a {XLINK} x:href="javascript:window.hostile=1"><text>x</text></a>'), "the element 'a'"),
    (svg('<image href="http://192.0.2.1/x"/>'), "the element 'image'"),
    (svg('<use href="http://192.0.2.1/x#y"/>'), "the element 'use'"),
    (svg('<text><set attributeName="href" to="javascript:1"/></text>'), "the element 'set'"),
    (svg('<animate attributeName="onload" values="window.hostile=1"/>'), "the element 'animate'"),
    (svg('<handler type="text/javascript">window.hostile = 1</handler>'), "the element 'handler'"),
    (svg('<filter id="f"><feImage href="http://192.0.2.1/x"/></filter>'), "the element 'filter'"),
    (svg("<metadata><x/></metadata>"), "the element 'metadata'"),
    (svg("<g><svg/></g>"), "the element 'svg'"),
    (svg('<rect style="fill: url(http://192.0.2.1/x)"/>'), "the attribute style="),
    (svg('<rect fill="url(http://192.0.2.1/x#y)"/>'), "the attribute fill="),
    (svg('<rect class="javascript:1"/>'), "the attribute class="),
    (svg(f'<rect {XLINK} x:href="http://192.0.2.1"/>'), "the attribute href="),
    (svg('<rect xml:base="http://192.0.2.1/"/>'), "the attribute base="),
    (svg("<style>@import 'http://192.0.2.1/x.css';</style>"), "a style sheet with addresses"),
    (svg('<style>@import "//192.0.2.1/x.css";</style>'), "a style sheet with addresses"),
    (svg("<style>path { fill: url(http://192.0.2.1/x) }</style>"), "a style sheet with addresses"),
    (svg(r"<style>path { fill: \75 rl(http://192.0.2.1/x) }</style>"), "a style sheet with addresses"),
    (svg("<style>path { fill: u/**/rl(x) }</style>"), "a style sheet with addresses"),
    (svg("<style><![CDATA[@font-face { src: url(//192.0.2.1) }]]></style>"), "a style sheet with addresses"),
    (svg("<style>text { fill: &#x75;rl&#40;//192.0.2.1&#41; }</style>"), "a style sheet with addresses"),
    (svg("<style><![CDATA[</style><script>1</script>]]></style>"), "a style sheet with addresses"),
    (svg("<style>path { background: image-set('//192.0.2.1' 1x) }</style>"), "a style sheet with addresses"),
    (svg("&x;", before='<!DOCTYPE svg [<!ENTITY x "y">]>'), "a document type"),
    (svg("&x;", before='<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>'), "a document type"),
    (svg("", before='<!DOCTYPE svg SYSTEM "http://192.0.2.1/x.dtd">'), "a document type"),
    (svg("", before='<!DOCTYPE svg [<!ATTLIST svg onload CDATA "window.hostile=1">]>'), "a document type"),
    (svg("", before='<?xml-stylesheet href="http://192.0.2.1/x.xsl" type="text/xsl"?>'), "the processing instruction"),
    (svg("<?php 1 ?>"), "the processing instruction 'php'"),
    (svg("", before='<?xml version="1.0" encoding="UTF-16"?>'), "UTF-16"),
    (svg("", before='<?xml version="1.0" encoding="iso-2022-jp"?>'), "the encoding 'iso-2022-jp', expected UTF-8"),
    (svg("<g>" * 20 + "</g>" * 20), "elements more than 8 deep"),
    ("<svg><script>window.hostile = 1</script></svg>", "the element 'svg'"),
    ('<html xmlns="http://www.w3.org/1999/xhtml"><script>window.hostile = 1</script></html>', "the element 'html'"),
    ("<!doctype html><script>window.hostile = 1</script>", "not well-formed SVG|a document type"),
    ("", "not well-formed SVG"),
    ("<svg", "not well-formed SVG"),
    (svg("", before="\x00"), "not well-formed SVG"),
    (svg("\x1b[2J"), "not well-formed SVG"),
]


def test_every_plot_of_ours_is_allowed() -> None:
    plots = [*render_plots("vit <demo> & x", REPORT).values(), PLOT]
    plots.append(scatter("a title", "it shows", "a score", [Point(10, 0.5, "A & B"), Point(20, 0.6)], ["a note"]))
    plots.append((TEMPLATES / "site/icon.svg").read_text())
    plots.append('<?xml version="1.0" encoding="UTF-8"?>\n<!-- a comment -->' + PLOT)
    for plot in plots:
        assert not find_problem(plot)
    assert len(plots) == 8


@pytest.mark.parametrize(("text", "problem"), PAYLOADS, ids=range(len(PAYLOADS)))
def test_what_a_browser_would_run_is_refused(text: str, problem: str) -> None:
    found = find_problem(text)
    assert any(part in found for part in problem.split("|")), found


def test_damaged_plots_are_read_or_refused() -> None:
    refused = 0
    for number in range(500):
        text = damage(PLOT.encode(), Random(number)).decode(errors="replace")
        refused += bool(find_problem(text))
    assert 250 < refused < 500


def test_billion_laughs_end_at_once() -> None:
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 20))
    assert "a document type" in find_problem(svg("&a19;", before=f'<!DOCTYPE svg [<!ENTITY a0 "x">{entities}]>'))
