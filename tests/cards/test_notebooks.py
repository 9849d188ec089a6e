"""The links from pages to the notebooks in Colab, where collection.yaml says that they are there."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.yaml_sections import YamlFile
from pipeline.cards import tf_hub_rules
from pipeline.cards.collection_page import list_member, render_collection
from pipeline.facts.collection import Collection, Module, read_collection
from pipeline.facts.report import Report
from pipeline.hub.markdown import render_page
from tests.card_facts import VIT, checked_files, seed_records
from tests.conftest import COLLECTION

COLAB = "https://colab.research.google.com/github/jane/vits/blob/main/notebooks"
LINKING = replace(VIT, notebooks_url=f"{COLAB}/")


def card_of(collection: Collection, report: Report, head: Head) -> str:
    """Returns TensorFlow Hub's card of a member of the collection, checked."""
    return checked_files(seed_records(report, collection))[Path(f"out/{head}.md")]


@pytest.mark.parametrize(("head", "notebook"), [(Head.CLASSIFICATION, "classification"), (Head.FE, "fine_tuning")])
def test_a_card_links_the_notebook_of_its_kind_before_the_overview(report: Report, head: Head, notebook: str) -> None:
    badge = f"\n\n[![Open Colab notebook]]({COLAB}/{notebook}.ipynb)\n\n## Overview"
    card = card_of(LINKING, report, head)
    assert badge in card
    assert card.replace(badge, "\n\n## Overview") == card_of(VIT, report, head)


def test_the_website_shows_a_link(report: Report) -> None:
    document = render_page(card_of(LINKING, report, Head.FE), "a/b/1.md", ())
    link = f'<p><a href="{COLAB}/fine_tuning.ipynb">Open Colab notebook</a></p>'
    assert document.body.lstrip().startswith(link)
    assert "Open Colab" not in render_page(card_of(VIT, report, Head.FE), "a/b/1.md", ()).body


def test_the_page_of_a_collection_links_both(report: Report) -> None:
    def page(collection: Collection) -> str:
        text = render_collection(collection, [list_member(collection, "vit_s16", Module(1, "ViT-S16"), report)])
        tf_hub_rules.check(text, "page.md")
        return text

    for name in ("classification", "fine_tuning"):
        assert f"]({COLAB}/{name}.ipynb)" in page(LINKING)
    assert "Colab" not in page(VIT)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "notebooks",
        "http://colab.research.google.com/github/jane/vits/blob/main/notebooks",
        "https://colab.research.google.com",
        "https://colab.example/github/jane/vits/blob/main/notebooks",
        f"{COLAB}/classification.ipynb",
        f"{COLAB}?authuser=1",
        f"{COLAB}) [x](https://a.example",
    ],
)
def test_an_address_that_is_no_folder_in_colab_is_refused_in_one_sentence(tmp_path: Path, address: str) -> None:
    path = tmp_path / "collection.yaml"
    path.write_text(f'{COLLECTION}notebooks_url: "{address}"\n')
    with pytest.raises(Fault) as raised:
        read_collection(path)
    assert str(raised.value).startswith(f"{path}:")
    expected = "notebooks_url must be the address of a folder of notebooks in Colab, such as https://colab.research."
    assert expected in str(raised.value)
    assert str(raised.value).endswith(f"got {address!r}")


def test_the_address_is_read(tmp_path: Path) -> None:
    path = tmp_path / "collection.yaml"
    path.write_text(f"{COLLECTION}notebooks_url: {COLAB}\n")
    assert YamlFile(path).plain()["notebooks_url"] == COLAB
    assert read_collection(path).notebook("classification") == f"{COLAB}/classification.ipynb"
