"""The formats and files that a module's page lists."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.base.heads import Head
from pipeline.hub import website
from pipeline.hub.file_lists import at_least, group_files, least_cosine, list_formats
from pipeline.hub.folder import read_index
from tests.hub.test_website import Page
from tests.hubs import read_document, write_document
from tests.trials import add_formats

DEMO = "vit-publisher/vit_demo"


def test_a_page_shows_each_format_with_its_file_and_figures(hub: Path) -> None:
    assert "the-formats" not in Page(hub / f"{DEMO}_classification/2.html").ids
    shown = Page(add_formats(hub, f"{DEMO}_classification/2", ["plain", "litert-int8", "onnx", "onnx-int8"]))
    assert "#the-formats" in shown.links
    assert "Compared with the TensorFlow module on images of the Fashion-MNIST test set." in shown.text
    for link in ("2/plain.tar.gz", "2/model_int8.tflite", "2/onnx/model.onnx", "2/onnx/model_quantized.onnx"):
        assert shown.links.count(link) == 2, link  # in the table and in the list of files
    for text in (
        "Plain TensorFlow", "LiteRT, int8", "ONNX Runtime", "same class 99.7\u00a0% of 1,000 images",
        "top-1 accuracy 91.85\u00a0%", "relative error 1.5e-06", "901",
    ):  # fmt: skip
        assert text in shown.text
    assert "model.tflite" not in shown.text
    assert "the-formats" not in Page(hub / f"{DEMO}_classification/1.html").ids


def test_formats_that_the_card_shows_are_not_shown_twice(hub: Path) -> None:
    page = add_formats(hub, f"{DEMO}_classification/2", ["litert"])
    assert "the-formats" in Page(page).ids
    card = read_index(hub).modules[f"{DEMO}_classification/2"].card
    assert card
    for path in {card.path, card.page}:
        with (hub / path).open("a") as stream:
            stream.write("\n## Other formats\n\n[LiteRT](2/model.tflite)\n")
    (hub / website.MANIFEST).unlink()  # the index lists the card of before
    website.build(hub, read_index(hub))
    shown = Page(page)
    assert "the-formats" not in shown.ids
    assert "#other-formats" in shown.links


def test_features_are_compared_by_their_cosine(hub: Path) -> None:
    shown = Page(add_formats(hub, f"{DEMO}_fe/2", ["litert"], Head.FE))
    assert "cosine 0.9995 or more, 1,000 images" in shown.text
    assert "same class" not in shown.text


def test_a_format_that_was_not_measured_on_images_has_its_error_alone(hub: Path) -> None:
    handle = f"{DEMO}_classification/2"
    add_formats(hub, handle, ["litert"])
    document = read_document(hub)
    litert = document["modules"][handle]["formats"]["litert"]
    for key in ("images", "of", "cosine", "same_class", "top1", "images_per_second"):
        del litert[key]
    write_document(hub, document)
    website.build(hub, read_index(hub))
    shown = Page(hub / f"{handle}.html")
    assert "relative error 1.5e-06" in shown.text
    assert "same class" not in shown.text
    assert "Compared with" not in shown.text


def test_files_are_listed_in_groups_where_there_are_formats(hub: Path) -> None:
    handle = f"{DEMO}_classification/2"
    (group,) = group_files(read_index(hub).modules[handle])
    assert (group.heading, [item.name for item in group.files][:2]) == ("", ["2.tar.gz", "2.md"])
    add_formats(hub, handle, ["litert", "onnx"])
    entry = read_index(hub).modules[handle]
    module, formats, others = group_files(entry)
    assert [item.name for item in module.files] == ["2.tar.gz", "2.md"]
    assert [item.name for item in formats.files] == [
        "model.tflite", "onnx/model.onnx", "config.json", "preprocessor_config.json",
    ]  # fmt: skip
    assert "plots/reliability.svg" in [item.name for item in others.files]
    assert {item.file for group in (module, formats, others) for item in group.files} == set(entry.files)


def test_a_format_whose_file_is_not_listed_has_no_link(hub: Path) -> None:
    add_formats(hub, f"{DEMO}_classification/2", ["litert"])
    entry = read_index(hub).modules[f"{DEMO}_classification/2"]
    (row,) = list_formats(replace(entry, files=entry.files[:1]))
    assert row.file is None


@pytest.mark.parametrize(
    ("cosine", "text"),
    [
        (1, "1"),
        (1.0000001, "1"),
        (0.9999999999999, "0.999999"),
        (0.99995, "0.999950"),
        (0.99888, "0.9988"),
        (-0.5, "-0.5000"),
    ],
)
def test_a_cosine_is_rounded_down(cosine: float, text: str) -> None:
    assert least_cosine(cosine) == text


@pytest.mark.parametrize(
    ("share", "text"), [(1, "100 %"), (0.99998, "99.99 %"), (0.997, "99.7 %"), (0.57, "57 %"), (0, "0 %")]
)
def test_only_all_of_them_are_a_hundred_percent(share: float, text: str) -> None:
    assert at_least(share) == text
