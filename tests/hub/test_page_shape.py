"""The shape of a page on the website: tabs, folded sections, galleries, tables for phones."""

import re

from pipeline.hub.markdown import Document, render_page

HEAD = "# Module a/b/1\n\nA model.\n\n"


def render(body: str, split: str = "") -> Document:
    return render_page(HEAD + body, "a/b/1.md", (), split=split)


def test_subsections_of_the_usage_are_tabs() -> None:
    body = render("## Usage\n\nInstall.\n\n### One\n\nFirst.\n\n### Two\n\nSecond.\n\n## Next\n\nAfter.\n").body
    assert re.sub(r"\n+", "", body) == (
        '<h2 id="usage">Usage</h2><p>Install.</p><div class="tabs">'
        '<section class="tab" aria-labelledby="one"><h3 id="one">One</h3><p>First.</p></section>'
        '<section class="tab" aria-labelledby="two"><h3 id="two">Two</h3><p>Second.</p></section></div>'
        '<h2 id="next">Next</h2><p>After.</p>'
    )


def test_a_single_way_to_run_it_is_no_tab() -> None:
    assert "tab" not in render("## Usage\n\n### One\n\nFirst.\n").body
    assert "tab" not in render("## Elsewhere\n\n### One\n\nFirst.\n\n### Two\n\nSecond.\n").body


def test_the_proofs_are_folded_under_their_first_sentence() -> None:
    body = render("## Verification\n\n12 checks *passed*.\n\nTable.\n\n### Figures\n\nAll.\n\n## Next\n").body
    assert re.sub(r"\n+", "", body) == (
        '<h2 id="verification">Verification</h2><details><summary>12 checks <em>passed</em>.</summary><p>Table.</p>'
        '<h3 id="figures">Figures</h3><p>All.</p></details><h2 id="next">Next</h2>'
    )


def test_a_section_with_nothing_to_fold_stays() -> None:
    for text in ("## Verification\n\nAll of it.\n", "## Verification\n\n- A list.\n\nMore.\n"):
        assert "<details>" not in render(text).body


def test_a_page_cannot_bring_its_own_folds() -> None:
    body = render("## Verification\n\n<details><summary>x</summary>\n\nMore.\n").body
    assert "<summary>x" not in body


def test_a_list_of_pictures_is_a_gallery() -> None:
    body = render("- ![Bag](1/examples/1.png) **Bag**\n- ![Coat](1/examples/2.png) **Coat**\n").body
    assert '<ul class="gallery">' in body
    assert '<img src="1/examples/1.png" alt="Bag" loading="lazy"' in body
    assert "gallery" not in render("- ![Bag](1/examples/1.png) Bag\n- no picture\n").body


def test_cells_of_wide_tables_name_their_columns() -> None:
    wide = "a sentence of more than forty characters, which a phone breaks"
    body = render(f"| what | value |\n|---|---|\n| one | {wide} |\n").body
    assert '<table class="stacked">' in body
    assert f'<td data-label="value">{wide}</td>' in body
    narrow = render("| what | value |\n|---|---|\n| one | 2 |\n").body
    assert "data-label" not in narrow
    assert "class" not in narrow.split("<table")[1].split(">")[0]


def test_accuracies_of_classes_can_be_sorted_by_their_values() -> None:
    table = "| class | images | accuracy |\n|---|---:|---:|\n| Bag | 1,000 | 97.00 % |\n"
    body = render(f"### Accuracy per class\n\nFrom low to high.\n\n{table}").body
    assert '<table class="sortable">' in body
    assert 'data-value="1000"' in body
    assert 'data-value="97.00"' in body
    assert "data-value" not in render(f"### Elsewhere\n\n{table}").body


def test_a_page_is_split_before_a_section() -> None:
    page = render("## Overview\n\nWhat.\n\n## Usage\n\nHow.\n", split="Usage")
    assert page.lead == '<h2 id="overview">Overview</h2>\n<p>What.</p>\n'
    assert page.body == '<h2 id="usage">Usage</h2>\n<p>How.</p>\n'
    whole = render("## Overview\n\nWhat.\n", split="Usage")
    assert (whole.lead, whole.body) == ("", '<h2 id="overview">Overview</h2>\n<p>What.</p>\n')


def test_a_heading_in_a_quotation_or_of_another_level_is_no_section() -> None:
    body = render("> ## Usage\n>\n> ### A\n\n### B\n\nText.\n", split="Usage").body
    assert body.startswith("<blockquote>")
    assert "tab" not in body
    assert "tab" not in render("### Usage\n\n#### A\n\nOne.\n\n#### B\n\nTwo.\n").body
    assert "<details>" not in render("> ## Verification\n>\n> One.\n>\n> Two.\n").body
