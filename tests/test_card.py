"""Cards and collection pages: what they must say, and that they cannot say more than the report."""

import copy
import json
import math
import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from pipeline import spec
from pipeline.card import cards
from pipeline.collection import page
from pipeline.fault import Fault
from pipeline.pages import Collection, Module, in_words, render
from pipeline.pins import NOTHING, Pin, statement
from pipeline.variants import variant
from pipeline.vit import Model, parameter_shapes
from tests.conftest import ROOT

VIT = ROOT / "model_cards/vit"
COLLECTION = spec.load_whole(VIT / "collection.yaml", Collection)
PINNED = "5ef59cc6b6c8eff353516ded66036ea110b2e88bdbe4fcfaa01d8dac9078c971"
ORIGIN = {"name": "S_16", "sources": [], "sha256": PINNED}
SEVEN = ("vit_s16", "vit_b16", "vit_b32", "vit_l16", "vit_r26_s32_lightaug", "vit_r26_s32_medaug", "vit_r50_l32")
MEMBERS = [path for path in sorted(ROOT.glob("model_cards/*/*.yaml")) if path.name != "collection.yaml"]


def metadata(card: str) -> dict[str, str]:
    return dict(re.findall(r"^<!-- ([a-z-]+): (.*) -->$", card, re.MULTILINE))


@pytest.fixture
def pages(report: dict) -> dict[str, str]:
    return cards("vit_s16", Module(1, "ViT-S16"), COLLECTION, "https://hub.example", report, ORIGIN)


@pytest.mark.parametrize(("head", "task"), [("classification", "image-classification"), ("fe", "image-feature-vector")])
def test_a_card_opens_as_tf_hub_wants_it(pages: dict[str, str], head: str, task: str) -> None:
    lines = pages[head].splitlines()
    assert lines[0] == f"# Module sayakpaul/vit_s16_{head}/1"
    assert lines[1] == ""
    assert re.fullmatch(r"[A-Z][^.]*\.", lines[2])  # one sentence
    assert metadata(pages[head]) == {
        "asset-path": f"https://hub.example/sayakpaul/vit_s16_{head}/1.tar.gz",
        "task": task,
        "network-architecture": "vision-transformer",
        "format": "saved_model_2",
        "fine-tunable": "true",
        "license": "apache-2.0",
        "dataset": "imagenet-ilsvrc-2012-cls",
    }


def test_cards_are_well_formed_text(pages: dict[str, str]) -> None:
    for card in pages.values():
        assert "\n\n\n" not in card
        assert not re.search(r"[ \t]$", card, re.MULTILINE)
        assert card.endswith("\n")
        assert "None" not in card
        numbers = {int(number) for number in re.findall(r"(?<= )\[(\d)\]", card.split("## Usage")[0])}
        assert numbers <= set(range(1, len(COLLECTION.references) + 1))


def test_measured_and_quoted_are_told_apart(pages: dict[str, str], report: dict) -> None:
    top1 = f"{100 * report['accuracy']['top1']:.2f} %"
    assert f"| top-1 accuracy | {top1} (95 % interval" in pages["classification"]
    assert "| measured on 1,000 images" in pages["classification"]
    assert "| quoted: " not in pages["classification"]
    report = copy.deepcopy(report)
    report["accuracy"]["reported"] = {"top1": 0.80462, "source": "the paper"}
    card = cards("vit_s16", Module(1, "S"), COLLECTION, "http://h", report, ORIGIN)["classification"]
    assert "| top-1 accuracy, reported | 80.46 % | quoted: the paper |" in card


def test_an_accuracy_that_was_not_measured_is_said_in_plain_words(report: dict) -> None:
    report = copy.deepcopy(report)
    reported = {"top1": 0.80462, "source": "the paper"}
    report["accuracy"] = {"verdict": "not measured", "reason": "no images", "dataset": "d", "reported": reported}
    for card in cards("vit_s16", Module(1, "S"), COLLECTION, "http://h", report, ORIGIN).values():
        assert "The accuracy of this module was **not measured** by its publisher; the reported figure is that" in card


def test_a_card_says_whether_the_weights_were_verified(report: dict, pages: dict[str, str]) -> None:
    assert "the digest is the one pinned for this member" in pages["fe"]
    for origin in ({"name": "S_16", "sources": []}, {"name": "S_16", "sha256": None}, ORIGIN | {"sha256": "0" * 64}):
        arrays = report["checkpoint"]["arrays_sha256"]
        text = cards("vit_s16", Module(1, "S"), COLLECTION, "http://h", report, origin, Pin(arrays))["fe"]
        assert (
            f"the digest of its arrays, `{arrays}`, is the one recorded for this member at its first download" in text
        )
        text = cards("vit_s16", Module(1, "S"), COLLECTION, "http://h", report, origin)["fe"]
        assert "that these are the original weights was **not verified**" in text


def test_what_a_card_says_of_pins_can_be_found_in_it(report: dict) -> None:
    """Letter for letter: stamps looks for it."""
    found = report["checkpoint"]
    for pinned, pin in ((found["sha256"], NOTHING), (None, Pin(found["arrays_sha256"])), (None, NOTHING)):
        origin = ORIGIN | {"sha256": pinned}
        for text in cards("vit_s16", Module(1, "S"), COLLECTION, "http://h", report, origin, pin).values():
            assert statement(pin, pinned, found["sha256"], found["arrays_sha256"]) in text


def test_a_card_says_where_the_weights_come_from(report: dict) -> None:
    def page(**facts: str) -> str:
        changed = report | {"checkpoint": report["checkpoint"] | facts}
        return cards("vit_s16", Module(1, "S"), COLLECTION, "http://h", changed, ORIGIN)["fe"]

    assert "from `gs://bucket/a.npz`;" in page(source="gs://bucket/a.npz")
    assert "from `" not in page(source="a.npz")  # a file of the user's own, whose place is nobody's business
    converted = page(source="hf://a/b/c.safetensors", converted_from="timm safetensors", source_sha256="1" * 64)
    assert (
        "converted back, bit for bit, from the timm safetensors of `hf://a/b/c.safetensors`, SHA-256 `111" in converted
    )


@pytest.mark.parametrize(
    "path", [("model", "variant"), ("accuracy", "top1"), ("checkpoint", "sha256"), ("parity_inputs",)]
)
def test_a_gap_in_the_facts_fails_to_render(report: dict, path: tuple[str, ...]) -> None:
    report = copy.deepcopy(report)
    parent = report
    for key in path[:-1]:
        parent = parent[key]
    del parent[path[-1]]
    with pytest.raises(jinja2.UndefinedError):
        cards("vit_s16", Module(1, "S"), COLLECTION, "http://h", report, ORIGIN)


def reports_of(folder: Path, artifacts: Path, report: dict) -> None:
    """Writes the report of each member of a collection with its own model in it."""
    for path in folder.glob("*.yaml"):
        if path.name == "collection.yaml":
            continue
        model = spec.load(path, "model", Model)
        own: dict[str, Any] = copy.deepcopy(report)
        own["model"] |= {"variant": model.variant, "hybrid": variant(model.variant).resnet is not None}
        shapes = parameter_shapes(model.variant, model.image_size, model.classes)
        own["modules"]["classification"]["weights"]["parameters"] = sum(map(math.prod, shapes.values()))
        (artifacts / path.stem).mkdir(parents=True)
        (artifacts / path.stem / "report.json").write_text(json.dumps(own))


def test_the_collections_page_counts_and_lists_its_members(report: dict, tmp_path: Path) -> None:
    reports_of(VIT, tmp_path, report)
    text = page(COLLECTION, VIT, tmp_path)
    assert text.startswith("# Collection sayakpaul/vit/1\n\nCollection of seven Vision Transformers pre-trained on ")
    assert "contains seven Vision Transformers [1] as 14 modules." in text
    assert not re.search(r"\beight\b", text)
    for title, head in (("Image classifiers", "classification"), ("Feature extractors", "fe")):
        section = re.split(r"^##+ ", text.split(f"### {title}\n")[1], flags=re.MULTILINE)[0]
        links = re.findall(r"^\* \[(ViT-[^\]]+)\]\((\S+)\)$", section, re.MULTILINE)
        assert [link for _, link in links] == [f"../../{name}_{head}/1.md" for name in SEVEN]  # in the seed's order
        assert len(links) == len({name for name, _ in links}) == 7
    for heading in ("## Overview", "## About the models", "## References"):
        assert heading in text


def test_the_collections_page_needs_every_report(report: dict, tmp_path: Path) -> None:
    reports_of(VIT, tmp_path, report)
    (tmp_path / "vit_b32/report.json").unlink()
    with pytest.raises(Fault, match=r"vit_b32/report\.json: no report; run make validate first"):
        page(COLLECTION, VIT, tmp_path)


def test_the_members_are_the_published_seven_and_the_demo() -> None:
    assert {path.stem for path in MEMBERS} == {*SEVEN, "vit_demo"}


def test_no_two_members_share_a_checkpoint() -> None:
    names = [yaml.safe_load(path.read_text())["checkpoint"]["name"] for path in MEMBERS]
    assert len(set(names)) == len(names)


def test_a_checkpoints_name_fits_its_variant() -> None:
    """The pool's file names open with the variant: R26_S_32 is R26+S/32."""
    for path in VIT.glob("vit_*.yaml"):
        facts = yaml.safe_load(path.read_text())
        *stem, size, patch = facts["checkpoint"]["name"].split("-")[0].split("_")
        assert "+".join([*stem, f"{size}/{patch}"]) == facts["model"]["variant"]


def test_publishers_page() -> None:
    modules = {"sayakpaul/a_fe/1": {"title": "A", "task": "image-feature-vector"}}
    text = render("publisher.md.jinja", publisher=COLLECTION.publisher, modules=modules, collections={})
    assert text.startswith("# Publisher sayakpaul\n\n## Sayak Paul\n")
    assert "* [sayakpaul/a_fe/1](a_fe/1.md), A, image-feature-vector\n" in text
    assert "Collections" not in text


def test_counts_are_spelled() -> None:
    assert [in_words(n) for n in (1, 7, 12, 13)] == ["one", "seven", "twelve", "13"]
