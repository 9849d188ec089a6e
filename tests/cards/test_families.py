"""Pages of models of several families: what they are called comes from the reports, and from nowhere else."""

import dataclasses
import json
from pathlib import Path

import pytest

from pipeline.base import yaml_sections
from pipeline.base.heads import Head
from pipeline.base.templates import billions, with_article, with_unit
from pipeline.cards.collection_page import check_collection, list_member, render_collection
from pipeline.cards.hugging_face import readme
from pipeline.cards.kaggle import model_metadata
from pipeline.facts.collection import Module
from pipeline.facts.report import Report, load_report, report_text
from pipeline.model.architectures import list_architectures
from pipeline.model.facts import describe_model
from pipeline.model.section import Model
from tests.card_facts import VIT, checked_files, seed_records
from tests.conftest import ROOT
from tests.reports import with_model

MIXER = {
    "variant": "B/16",
    "architecture": "mixer",
    "title": "MLP-Mixer B/16",
    "family": "MLP-Mixer",
    "plural": "MLP-Mixers",
    "tag": "mixer",
    "features": "the mean of the tokens after the last layer normalisation",
    "operations": 25_200_000_000,
}
VITS = ("Vision Transformer B", "network-architecture: vit", "class token")


@pytest.fixture
def mixer(report: Report) -> Report:
    return with_model(report, image_size=224, **MIXER)


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("Vision Transformer", "a Vision Transformer"),
        ("MLP-Mixer", "an MLP-Mixer"),
        ("Inception", "an Inception"),
        ("U-Net", "a U-Net"),
        ("ResNet", "a ResNet"),
        ("3-layer network", "a 3-layer network"),
    ],
)
def test_a_noun_has_the_article_that_it_sounds_like(noun: str, expected: str) -> None:
    assert with_article(noun) == expected


def test_billions_have_three_digits() -> None:
    assert [billions(count) for count in (30_160_986, 9_202_000_000, 334_600_000_000, 1_020_400_000_000)] == [
        "0.0302",
        "9.2",
        "335",
        "1,020",
    ]


def test_small_counts_are_in_millions() -> None:
    assert [with_unit(count) for count in (8_290_000, 30_160_986, 9_202_000_000)] == [
        "8.29 million", "30.2 million", "9.2 billion",
    ]  # fmt: skip


def test_the_cards_of_a_mixer_call_it_that(mixer: Report) -> None:
    references = tuple(dataclasses.replace(each, text="A paper", bibtex=None) for each in VIT.references)
    records = seed_records(mixer, dataclasses.replace(VIT, references=references))
    for text in checked_files(records).values():
        assert not [word for word in VITS if word in text]
    card = records[Head.FE].render("module.md.jinja", records[Head.FE].links_in_hub())
    assert "<!-- network-architecture: mixer -->" in card
    assert "The model is an MLP-Mixer B/16 [1]." in card
    assert "The logits of one image take 25.2 billion floating-point operations; a multiplication and an" in card
    assert "The features are the mean of the tokens after the last layer normalisation, the input of the " in card
    assert "- mlp-mixer\n" in readme(records[Head.CLASSIFICATION])
    kaggle = json.loads(model_metadata(records[Head.CLASSIFICATION]))
    assert kaggle["subtitle"].startswith("MLP-Mixer B/16, pre-trained on")
    assert "\nAn MLP-Mixer B/16, pre-trained on" in kaggle["description"]


@pytest.mark.parametrize(("kind", "is_widened"), [("timm safetensors", False), ("timm safetensors, bfloat16", True)])
def test_a_card_says_that_16_bits_were_widened_exactly(report: Report, kind: str, is_widened: bool) -> None:
    origin = dataclasses.replace(report.checkpoint, converted_from=kind, source_sha256="0" * 64)
    record = seed_records(dataclasses.replace(report, checkpoint=origin))[Head.FE]
    card = record.render("module.md.jinja", record.links_in_hub())
    assert f"from the {kind} of" in card
    assert ("\n  each of its 16-bit values was widened to float32, which holds it exactly;\n" in card) is is_widened


@pytest.mark.parametrize(
    ("kind", "program"),
    [("timm safetensors", "timm"), ("transformers safetensors below vit.", "transformers"), ("big_vision npz", None)],
)
def test_a_card_says_that_other_programs_have_another_gelu(report: Report, kind: str, program: str | None) -> None:
    origin = dataclasses.replace(report.checkpoint, converted_from=kind, source_sha256="0" * 64)
    record = seed_records(dataclasses.replace(report, checkpoint=origin))[Head.FE]
    card = record.render("module.md.jinja", record.links_in_hub())
    assert ("tanh form of GELU" in card) is (program is not None)
    assert (
        program is None
        or f"\n  computed with the tanh form of GELU, as upstream's code does; where {program} uses the" in card
    )


@pytest.mark.parametrize("architecture", list_architectures())
def test_every_family_says_what_its_features_are(architecture: str) -> None:
    facts = describe_model(Model("B/16", 224, 10, architecture=architecture))
    assert facts["features"].endswith(" after the last layer normalisation")


def test_features_that_nothing_describes_are_the_heads_input(mixer: Report) -> None:
    record = seed_records(with_model(mixer, features="", operations=None))[Head.FE]
    card = record.render("module.md.jinja", record.links_in_hub())
    assert "The features are the input of the classification head of" in card
    assert "floating-point operations" not in card


def test_the_card_of_a_network_of_ones_own_claims_nothing_of_its_tokens(report: Report) -> None:
    normalised = "tokens after the last layer normalisation, and so"
    for architecture, features in (("vit", report.model.features), ("my_model.py:MyNet", "")):
        record = seed_records(with_model(report, architecture=architecture, features=features))[Head.FE]
        card = record.render("module.md.jinja", record.links_in_hub())
        is_own = not features
        assert "`model.tokens(images)` returns the " in card
        assert "`tokens`: float32 (n, " in card
        assert (normalised in card, "`my_model.py`, which is not in the hub" in card) == (not is_own, is_own)
        assert card.count("after the last layer normalisation") == (0 if is_own else 3)


def collection(*reports: Report) -> str:
    member = ROOT / "model_cards/vit/vit_s16.yaml"
    module = yaml_sections.load(member, "module", Module)
    members = [list_member(VIT, f"model_{number}", module, report) for number, report in enumerate(reports)]
    own = dataclasses.replace(VIT, overview="They are models.", about="They are models.")
    text = render_collection(own, members)
    check_collection(text, own, reports, "collection.md")
    return text


def test_a_collection_is_called_by_its_family(mixer: Report) -> None:
    one = collection(mixer)
    assert "\n\nAn MLP-Mixer pre-trained on" in one
    assert "\nThis collection contains one MLP-Mixer [1] as two modules.\n" in one
    two = collection(mixer, with_model(mixer, variant="L/16"))
    assert "\n\nCollection of two MLP-Mixers pre-trained on" in two
    assert "contains two MLP-Mixers [1] as 4 modules." in two
    assert two.count("<!-- network-architecture: ") == 1
    assert "| 307,082 | 25.2 | 1.7 MB |" in two


def test_a_collection_of_several_families_is_of_models(report: Report, mixer: Report) -> None:
    text = collection(mixer, with_model(report, image_size=224))
    assert "\n\nCollection of two models pre-trained on" in text
    assert "contains two models as 4 modules." in text
    assert "<!-- network-architecture: mixer -->\n<!-- network-architecture: vit -->\n" in text


def test_a_report_of_an_earlier_schema_gives_the_same_words(report: Report, tmp_path: Path) -> None:
    content = json.loads(report_text(report)) | {"schema": 3}
    known = ("variant", "image_size", "classes", "labels", "dropout")
    content["model"] = {key: content["model"][key] for key in known} | {"hybrid": False}
    (tmp_path / "report.json").write_text(json.dumps(content))
    assert load_report(tmp_path / "report.json") == with_model(report, operations=None)
