"""The cards for Hugging Face and Kaggle: what they say, and that what their hosts would refuse is refused here."""

import dataclasses
import json
import re
from typing import Any

import pytest
import yaml

from pipeline.base.fault import Fault
from pipeline.cards.other_hosts import (
    check_hugging_face,
    check_kaggle_instance,
    check_kaggle_model,
    hugging_face,
    kaggle_instance,
    kaggle_model,
)
from pipeline.cards.record import Record
from pipeline.facts.collection import Collection, Module, read_collection
from pipeline.facts.report import Report, Reported
from tests.card_facts import records
from tests.conftest import ROOT
from tests.reports import not_measured, with_accuracy, with_measured

VIT = read_collection(ROOT / "model_cards/vit/collection.yaml")


def both(report: Report, collection: Collection = VIT) -> dict[Any, Record]:
    return records("vit_s16", Module(1, "ViT-S16"), collection, "https://hub.example", report, {"name": "S_16"})


def front_matter(text: str) -> dict[str, Any]:
    match = re.match(r"---\n(.*?)---\n", text, re.DOTALL)
    assert match
    loaded: dict[str, Any] = yaml.safe_load(match[1])
    return loaded


def test_results_on_hugging_face_are_measured_or_marked_as_quoted(report: Report) -> None:
    report = with_accuracy(report, reported=Reported(0.80462, "column a of gs://vit_models/augreg/index.csv"))
    record = both(report)["classification"]
    matter = front_matter(hugging_face(record))
    (model,) = matter["model-index"]
    measured, quoted = model["results"]
    assert measured["source"] == {
        "name": "measured by the publisher",
        "url": "https://hub.example/sayakpaul/vit_s16_classification/1.md",
    }
    assert [metric["value"] for metric in measured["metrics"]] == [0.919, 0.998]
    assert quoted["source"] == {
        "name": "quoted: column a of gs://vit_models/augreg/index.csv",
        "url": "https://storage.googleapis.com/vit_models/augreg/index.csv",
    }
    assert [metric["value"] for metric in quoted["metrics"]] == [0.80462]
    for result in model["results"]:
        assert result["dataset"]["type"] == "ILSVRC/imagenet-1k"
        assert all(metric["verified"] is False for metric in result["metrics"])
    assert matter["license"] == "apache-2.0"
    assert matter["library_name"] == "tf-keras"
    assert matter["pipeline_tag"] == "image-classification"
    check_hugging_face(hugging_face(record), report.accuracy, "README.md")


def test_a_figure_on_hugging_face_names_the_images_it_was_measured_on(report: Report) -> None:
    """What was measured on other images is no result on the member's data set, and what is quoted none on theirs."""
    report = with_measured(report, classes=10, outputs=1000, training_images=3)
    reported = Reported(0.80462, "https://example.org/table")
    report = with_accuracy(report, dataset="ImageNet-V2", reported=reported)
    text = hugging_face(both(report)["classification"])
    measured, quoted = front_matter(text)["model-index"][0]["results"]
    assert measured["dataset"] == {"type": "other", "name": "ImageNet-V2"}
    assert measured["metrics"][0]["name"] == (
        "top-1 accuracy on 1,000 images of 10 of the 1,000 classes of ImageNet-V2, 3 of them perhaps trained on"
    )
    assert quoted["dataset"] == {"type": "ILSVRC/imagenet-1k", "name": "the Fashion-MNIST test set"}
    check_hugging_face(text, report.accuracy, "README.md")


def test_what_is_not_known_is_left_out(report: Report) -> None:
    report = not_measured(report)
    collection = dataclasses.replace(VIT, huggingface_dataset=None, license="cddl-1.0")
    found = both(report, collection)
    matter = front_matter(hugging_face(found["classification"]))
    assert not {"model-index", "metrics", "datasets"} & matter.keys()
    assert (matter["license"], matter["license_name"]) == ("other", "cddl-1.0")
    report = not_measured(report, reported=Reported(0.8, "a book"))
    assert "model-index" not in front_matter(hugging_face(both(report)["classification"]))
    assert "model-index" not in front_matter(hugging_face(both(report)["fe"]))
    instance = json.loads(kaggle_instance(found["fe"]))
    assert not {"licenseName", "ownerSlug"} & instance.keys()
    check_kaggle_instance(json.dumps(instance), "i.json")


def test_kaggle_has_a_model_with_two_variations(report: Report) -> None:
    publisher = dataclasses.replace(VIT.publisher, kaggle="some-owner")
    found = both(report, dataclasses.replace(VIT, publisher=publisher))
    model = json.loads(kaggle_model(found))
    assert (model["ownerSlug"], model["slug"], model["title"]) == ("some-owner", "vit-s16", "ViT-S16")
    assert model["isPrivate"] is True
    assert "publishTime" not in model
    assert report.checkpoint.sha256 in model["provenanceSources"]
    for heading in ("# Model Summary", "# Model Characteristics", "# Data Overview", "# Evaluation Results"):
        assert f"{heading}\n" in model["description"]
    assert "| top-1 accuracy | 91.90 % (" in model["description"]
    assert "licensed under apache-2.0; Kaggle keeps\nthat with each variation." in model["description"]
    assert "licenseName" not in model  # Kaggle's client reads it of variations only
    for head, slug in (("classification", "classification"), ("fe", "feature-extractor")):
        instance = json.loads(kaggle_instance(found[head]))
        assert (instance["modelSlug"], instance["instanceSlug"]) == ("vit-s16", slug)
        assert (instance["framework"], instance["licenseName"]) == ("tensorFlow2", "Apache 2.0")
        assert instance["fineTunable"] is True
        assert 'tf.saved_model.load("${PATH}")' in instance["usage"]
        check_kaggle_instance(json.dumps(instance), "i.json")
    check_kaggle_model(json.dumps(model), "m.json")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("---\nlicense", "license", r"README\.md: expected YAML between two lines '---'"),
        ("license: apache-2.0", "license: [", r"README\.md: the front matter is no YAML"),
        ("license: apache-2.0", "licence: apache-2.0", r"unknown key 'licence' \(did you mean 'license'\?\)"),
        ("license: apache-2.0", "license: apache", r"license 'apache' is none of Hugging Face's; say other"),
        ("license: apache-2.0", "license: other", r"license is other, but license_name is missing"),
        ("library_name: tf-keras\n", "", r"the key 'library_name' is missing"),
        (
            "pipeline_tag: image-classification",
            "pipeline_tag: image",
            r"pipeline_tag must be image-classification or",
        ),
        ("tags:\n", "tags: vit\nx:\n", r"tags must be a list, got 'vit'"),
        ("verified: false", "verified: true", r"metrics\[0\]\.verified must be false: Hugging Face alone verifies"),
        ("value: 0.919", "value: 0.92", r"results\[0\]\.metrics\[0\]\.value is 0\.92, which the report does not have"),
        ("name: the Fashion-MNIST test set", "split: test", r"results\[0\]\.dataset lacks 'name'"),
        ("url: https://hub", "url: hub", r"source\.url must be an http or https address, got 'hub"),
    ],
)
def test_what_hugging_face_would_not_take_is_refused(report: Report, old: str, new: str, message: str) -> None:
    text = hugging_face(both(report)["classification"])
    assert old in text
    with pytest.raises(Fault, match=message):
        check_hugging_face(text.replace(old, new), report.accuracy, "README.md")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"framwork": "tensorFlow2"}, r"i\.json: unknown key 'framwork' \(did you mean 'framework'\?\)"),
        ({"framework": "pyTorch"}, r"framework must be tensorFlow2, which a SavedModel is, got 'pyTorch'"),
        ({"fineTunable": "yes"}, r"fineTunable must be a bool, got 'yes'"),
        (
            {"instanceSlug": "vit_s16"},
            r"instanceSlug must be lower-case letters and digits, joined by '-', got",
        ),
        ({"licenseName": "apache-2.0"}, r"licenseName 'apache-2\.0' is none of Kaggle's"),
        ({"overview": ""}, r"overview is empty; leave it out where the fact is not known"),
        ({"usage": "load ${FOLDER}"}, r"usage names \$\{FOLDER\}, which Kaggle does not replace: it knows FILEPATH"),
    ],
)
def test_what_kaggle_would_not_take_is_refused(report: Report, changes: dict, message: str) -> None:
    instance = json.loads(kaggle_instance(both(report)["fe"])) | changes
    with pytest.raises(Fault, match=message):
        check_kaggle_instance(json.dumps(instance), "i.json")


def test_a_kaggle_model_needs_a_title(report: Report) -> None:
    model = json.loads(kaggle_model(both(report)))
    del model["title"]
    with pytest.raises(Fault, match=r"m\.json: the key 'title' is missing"):
        check_kaggle_model(json.dumps(model), "m.json")
    with pytest.raises(Fault, match=r"m\.json: not valid JSON"):
        check_kaggle_model("{", "m.json")
