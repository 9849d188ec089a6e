"""The README.md for Hugging Face: its results, and that a page which the host would refuse is refused here."""

import dataclasses
import re
from typing import Any

import pytest
import yaml

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.cards.hugging_face import check_readme, for_repository, readme
from pipeline.facts.accuracy import Reported
from pipeline.facts.report import Report
from tests.card_facts import VIT, seed_records
from tests.reports import not_measured, with_accuracy, with_measured


def front_matter(text: str) -> dict[str, Any]:
    match = re.match(r"---\n(.*?)---\n", text, re.DOTALL)
    assert match
    loaded: dict[str, Any] = yaml.safe_load(match[1])
    return loaded


def test_results_on_hugging_face_are_measured_or_marked_as_quoted(report: Report) -> None:
    report = with_accuracy(report, reported=Reported(0.80462, "column a of gs://vit_models/augreg/index.csv"))
    record = seed_records(report)[Head.CLASSIFICATION]
    matter = front_matter(readme(record))
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
    check_readme(readme(record), report, "README.md")


def test_a_figure_on_hugging_face_names_the_images_it_was_measured_on(report: Report) -> None:
    """A figure of other images is no result on the member's data set; a quoted figure is no result on theirs."""
    report = with_measured(report, classes=10, outputs=1000, training_images=3)
    reported = Reported(0.80462, "https://example.org/table")
    report = with_accuracy(report, dataset="ImageNet-V2", reported=reported)
    text = readme(seed_records(report)[Head.CLASSIFICATION])
    measured, quoted = front_matter(text)["model-index"][0]["results"]
    assert measured["dataset"] == {"type": "other", "name": "ImageNet-V2"}
    assert measured["metrics"][0]["name"] == (
        "top-1 accuracy on 1,000 images of 10 of the 1,000 classes of ImageNet-V2, 3 of them perhaps trained on"
    )
    assert quoted["dataset"] == {"type": "ILSVRC/imagenet-1k", "name": "the Fashion-MNIST test set"}
    check_readme(text, report, "README.md")


def test_unknown_facts_are_left_out(report: Report) -> None:
    report = not_measured(report)
    collection = dataclasses.replace(VIT, huggingface_dataset=None, license="cddl-1.0")
    matter = front_matter(readme(seed_records(report, collection)[Head.CLASSIFICATION]))
    assert not {"model-index", "metrics", "datasets"} & matter.keys()
    assert (matter["license"], matter["license_name"]) == ("other", "cddl-1.0")
    report = not_measured(report, reported=Reported(0.8, "a book"))  # which has no address
    for record in seed_records(report).values():
        assert "model-index" not in front_matter(readme(record))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("---\nlicense", "license", r"README\.md: expected YAML between two lines '---'"),
        ("license: apache-2.0", "license: [", r"README\.md: the front matter is not YAML"),
        ("license: apache-2.0", "licence: apache-2.0", r"unknown key 'licence' \(did you mean 'license'\?\)"),
        ("license: apache-2.0", "license: apache", r"license 'apache' is not one of Hugging Face's; use other"),
        ("license: apache-2.0", "license: other", r"license is other, but license_name is missing"),
        ("library_name: tf-keras\n", "", r"the key 'library_name' is missing"),
        (
            "pipeline_tag: image-classification",
            "pipeline_tag: image",
            r"pipeline_tag must be image-classification or",
        ),
        ("tags:\n", "tags: vit\nx:\n", r"tags must be a list, got 'vit'"),
        ("verified: false", "verified: true", r"metrics\[0\]\.verified must be false: Hugging Face alone verifies"),
        ("value: 0.919", "value: 0.92", r"results\[0\]\.metrics\[0\]\.value is 0\.92, which is not in the report"),
        ("name: the Fashion-MNIST test set", "split: test", r"results\[0\]\.dataset has no 'name'"),
        ("url: https://hub", "url: hub", r"source\.url must be an http or https address, got 'hub"),
    ],
)
def test_a_readme_that_hugging_face_would_refuse_is_refused(report: Report, old: str, new: str, message: str) -> None:
    text = readme(seed_records(report)[Head.CLASSIFICATION])
    assert old in text
    with pytest.raises(Fault, match=message):
        check_readme(text.replace(old, new), report, "README.md")


def test_snippets_load_a_tag_of_the_repository(report: Report) -> None:
    for record in seed_records(report).values():
        page = for_repository(readme(record), "some-org/vit")
        load = 'snapshot_download("some-org/vit", revision="v1", ignore_patterns=["onnx/*", "*.tflite"])'
        assert page.count(load) == 4
        assert "hf download some-org/vit --revision v1 " in page
        assert "${" not in page
        assert "tensorflow_hub" not in page


def test_a_page_whose_snippets_load_something_else_is_refused(report: Report) -> None:
    page = readme(seed_records(report)[Head.FE]).replace("${REPOSITORY}", "me/vit")
    with pytest.raises(Fault, match=r"no snippet loads the module with snapshot_download\(\"\$\{REPOSITORY\}\""):
        check_readme(page, report, "README.md")
