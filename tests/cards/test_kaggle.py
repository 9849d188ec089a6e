"""The metadata for Kaggle: what it holds, and that metadata which the client would refuse is refused here."""

import dataclasses
import json

import pytest

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.cards.kaggle import check_instance, check_model, instance_metadata, model_metadata
from pipeline.cards.page import parse_page
from pipeline.facts.report import Report
from tests.card_facts import VIT, seed_records


def test_kaggle_has_a_model_with_two_variations(report: Report) -> None:
    publisher = dataclasses.replace(VIT.publisher, kaggle="some-owner")
    records = seed_records(report, dataclasses.replace(VIT, publisher=publisher))
    model = json.loads(model_metadata(records[Head.CLASSIFICATION]))
    assert (model["ownerSlug"], model["slug"], model["title"]) == ("some-owner", "vit-s16", "ViT-S16")
    assert model["isPrivate"] is True
    assert "publishTime" not in model
    assert report.checkpoint.sha256 in model["provenanceSources"]
    for heading in ("# Model Summary", "# Model Characteristics", "# Data Overview", "# Evaluation Results"):
        assert f"{heading}\n" in model["description"]
    assert "| top-1 accuracy | 91.90 % (" in model["description"]
    assert "licensed under apache-2.0; Kaggle keeps\nthe licence with each variation." in model["description"]
    assert "licenseName" not in model  # Kaggle's client reads it of variations only
    for head, slug in ((Head.CLASSIFICATION, "classification"), (Head.FE, "feature-extractor")):
        instance = json.loads(instance_metadata(records[head]))
        assert (instance["modelSlug"], instance["instanceSlug"]) == ("vit-s16", slug)
        assert (instance["framework"], instance["licenseName"]) == ("tensorFlow2", "Apache 2.0")
        assert instance["fineTunable"] is True
        address = f"${{OWNER}}/vit-s16/tensorFlow2/{slug}/${{VERSION_NUMBER}}"
        assert f'tf.saved_model.load(kagglehub.model_download("{address}"))' in instance["usage"]
        check_instance(json.dumps(instance), "i.json")
    check_model(json.dumps(model), "m.json")


@pytest.mark.parametrize("note", ["```python\nx = 1\n```", "| a |\n|---|\n| 1 |", "* one\n* two"])
def test_a_note_of_any_form_changes_nothing_around_it(report: Report, note: str) -> None:
    page = parse_page(json.loads(model_metadata(seed_records(report, note=note)[Head.CLASSIFICATION]))["description"])
    assert "Evaluation data" in [heading.text for heading in page.headings()]
    classes = f"See the model initialization. The classes are those of {VIT.dataset_name}."
    assert classes in [piece.text for piece in page.paragraphs()]


def test_unknown_facts_are_left_out(report: Report) -> None:
    collection = dataclasses.replace(VIT, license="cddl-1.0")
    instance = json.loads(instance_metadata(seed_records(report, collection)[Head.FE]))
    assert not {"licenseName", "ownerSlug"} & instance.keys()
    check_instance(json.dumps(instance), "i.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"framwork": "tensorFlow2"}, r"i\.json: unknown key 'framwork' \(did you mean 'framework'\?\)"),
        ({"framework": "pyTorch"}, r"framework must be tensorFlow2, as the module is a SavedModel, got 'pyTorch'"),
        ({"fineTunable": "yes"}, r"fineTunable must be a bool, got 'yes'"),
        (
            {"instanceSlug": "vit_s16"},
            r"instanceSlug must be lower-case letters and digits, joined by '-', got",
        ),
        ({"licenseName": "apache-2.0"}, r"licenseName 'apache-2\.0' is not one of Kaggle's"),
        ({"overview": ""}, r"overview is empty; leave it out where the fact is unknown"),
        ({"usage": "load ${FOLDER}"}, r"usage names \$\{FOLDER\}, which Kaggle does not replace; expected FILEPATH"),
    ],
)
def test_metadata_that_kaggle_would_refuse_is_refused(report: Report, changes: dict, message: str) -> None:
    instance = json.loads(instance_metadata(seed_records(report)[Head.FE])) | changes
    with pytest.raises(Fault, match=message):
        check_instance(json.dumps(instance), "i.json")


def test_a_kaggle_model_needs_a_title(report: Report) -> None:
    model = json.loads(model_metadata(seed_records(report)[Head.CLASSIFICATION]))
    del model["title"]
    with pytest.raises(Fault, match=r"m\.json: the key 'title' is missing"):
        check_model(json.dumps(model), "m.json")
    with pytest.raises(Fault, match=r"m\.json: not valid JSON"):
        check_model("{", "m.json")
