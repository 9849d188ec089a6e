"""Cards and collection pages: what they must say, and that they cannot say more than the report."""

import dataclasses
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from pipeline.accuracy.plots import render_plots
from pipeline.accuracy.section import ONE_CLASS
from pipeline.base import yaml_sections
from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.templates import in_words
from pipeline.base.verification import Verification
from pipeline.cards import tf_hub_rules
from pipeline.cards.page import parse_page
from pipeline.cards.record import Record
from pipeline.collection import page
from pipeline.facts.accuracy import AgainstReported, Reported
from pipeline.facts.collection import Module, handle, read_collection
from pipeline.facts.report import Plot, Report, load_report
from pipeline.hub.entries import CollectionEntry, ModuleEntry
from pipeline.hub.publisher_page import render_publisher
from pipeline.model.facts import describe_model
from pipeline.model.section import Model
from pipeline.model.vit.variants import variant
from tests import card_facts
from tests.card_facts import cards, checked_files, records
from tests.conftest import ROOT, Stage, assert_refused
from tests.model.parameter_counts import PARAMETERS
from tests.reports import (
    QUOTED,
    not_measured,
    with_accuracy,
    with_checks,
    with_measured,
    with_model,
    with_weights,
    write_report,
)

VIT = ROOT / "model_cards/vit"
COLLECTION = card_facts.VIT
PINNED = "5ef59cc6b6c8eff353516ded66036ea110b2e88bdbe4fcfaa01d8dac9078c971"
ORIGIN = {"name": "S_16", "sources": [], "sha256": PINNED}
SEVEN = ("vit_s16", "vit_b16", "vit_b32", "vit_l16", "vit_r26_s32_lightaug", "vit_r26_s32_medaug", "vit_r50_l32")
MEMBERS = [path for path in sorted(ROOT.glob("model_cards/*/*.yaml")) if path.name != "collection.yaml"]


def metadata(card: str) -> dict[str, str]:
    return dict(re.findall(r"^<!-- ([a-z-]+): (.*) -->$", card, re.MULTILINE))


@pytest.fixture
def pages(report: Report) -> dict[Head, str]:
    return cards("vit_s16", Module(1, "ViT-S16"), COLLECTION, "https://hub.example", report, ORIGIN)


@pytest.mark.parametrize(
    ("head", "task"), [(Head.CLASSIFICATION, "image-classification"), (Head.FE, "image-feature-vector")]
)
def test_a_card_opens_as_tf_hub_requires(pages: dict[Head, str], head: Head, task: str) -> None:
    lines = pages[head].splitlines()
    assert lines[0] == f"# Module sayakpaul/vit_s16_{head}/1"
    assert lines[1] == ""
    assert re.fullmatch(r"[A-Z][^.]*\.", lines[2])  # one sentence
    assert metadata(pages[head]) == {
        "asset-path": f"https://hub.example/sayakpaul/vit_s16_{head}/1.tar.gz",
        "task": task,
        "network-architecture": "vit",
        "format": "saved_model_2",
        "fine-tunable": "true",
        "license": "apache-2.0",
        "dataset": "imagenet-ilsvrc-2012-cls",
    }


def test_cards_are_well_formed_text(pages: dict[Head, str]) -> None:
    for card in pages.values():
        assert "\n\n\n" not in card
        assert not re.search(r"[ \t]$", card, re.MULTILINE)
        assert card.endswith("\n")
        assert "None" not in card
        numbers = {int(number) for number in re.findall(r"(?<= )\[(\d)\]", card.split("## Usage")[0])}
        assert numbers <= set(range(1, len(COLLECTION.references) + 1))


def test_measured_and_quoted_are_told_apart(pages: dict[Head, str], report: Report) -> None:
    assert report.accuracy.measured
    top1 = f"{100 * report.accuracy.measured.top1:.2f} %"
    assert f"| top-1 accuracy | {top1} (95 % interval" in pages[Head.CLASSIFICATION]
    assert "| measured on 1,000 images" in pages[Head.CLASSIFICATION]
    assert "| quoted: " not in pages[Head.CLASSIFICATION]
    report = with_accuracy(report, reported=QUOTED)
    card = cards("vit_s16", Module(1, "S"), COLLECTION, "http://h", report, ORIGIN)[Head.CLASSIFICATION]
    assert "| top-1 accuracy, reported | 80.46 % | quoted: the paper |" in card


def test_a_card_of_one_class_offers_no_softmax(report: Report) -> None:
    """The softmax of a single logit is always 1, and so is the accuracy."""
    one = not_measured(with_model(report, classes=1), ONE_CLASS)
    needs = one.modules[Head.CLASSIFICATION].needs
    needs = dataclasses.replace(needs, signatures=tuple(name for name in needs.signatures if "classify" not in name))
    one = with_checks(one, Head.CLASSIFICATION, output_width=1, needs=needs, classes=None)
    facts = records("vit_s16", Module(1, "S"), COLLECTION, "http://h", one, ORIGIN)
    card = cards("vit_s16", Module(1, "S"), COLLECTION, "http://h", one, ORIGIN)[Head.CLASSIFICATION]
    assert COLLECTION.activation == "softmax"
    assert "tf.nn.softmax" not in card
    assert "the softmax of a single logit is always 1: compare the logit itself with a threshold of your own.\n" in card
    assert 'print(f"{logits[0][index]:.3f}  {names[index]}")' in card
    assert "pixels and returns 1 logit.\n" in card
    assert "| accuracy | not measured | the model has one class, so that every prediction is right |" in card
    assert "top-1 agreement" not in card
    assert "The logit of one image takes 30.2 million floating-point operations" in card
    assert "Use it to score images for the class of ImageNet-1k, or as a start" in card
    assert "serving_classify" not in card
    assert (
        'outputs = model.signatures["serving_jpeg"](encoded=file[tf.newaxis])\nprint(outputs["logits"].shape)' in card
    )
    assert "cosine" not in card  # of two numbers it is 1 or -1
    assert not re.search(r"\b1 (logits|classes)\b|\n\n\n|[ \t]\n", card)
    for text in checked_files(facts).values():
        assert "tf.nn.softmax" not in text
        assert not re.search(r"\b1 (logits|classes)\b", text)


def test_a_card_of_sigmoids_does_not_say_that_one_class_is_always_predicted(report: Report) -> None:
    sigmoid = dataclasses.replace(COLLECTION, activation="sigmoid")
    for text in checked_files(records("vit_s16", Module(1, "S"), sigmoid, "http://h", report, ORIGIN)).values():
        assert "softmax" not in text
        assert "always predicts" not in text
    card = cards("vit_s16", Module(1, "S"), sigmoid, "http://h", report, ORIGIN)[Head.CLASSIFICATION]
    assert "`tf.nn.sigmoid` turns the logits into probabilities." in card
    assert "The probability of each class is its own: that of every class may be low, as for an image that" in card


def test_a_card_says_of_a_background_that_it_is_no_class(report: Report) -> None:
    first = with_measured(with_model(report, classes=11, has_background=True), outputs=11, has_background=True)
    first = with_checks(first, Head.CLASSIFICATION, output_width=11)
    card = cards("vit_s16", Module(1, "S"), COLLECTION, "http://h", first, ORIGIN)[Head.CLASSIFICATION]
    assert "over all 11 outputs, the first of which is a background; preprocessing" in card
    assert "Each logit stands for a class of ImageNet-1k, but the first, which stands for a background: none of" in card
    assert (
        "The classifier predicts the background or one of the 10 classes, and may predict a class for an image that"
        in card
    )
    assert "always predicts" not in card
    assert "\n\n\n" not in card


def test_a_card_of_two_classes_has_what_two_outputs_tell(report: Report) -> None:
    two = with_measured(with_model(report, classes=2), classes=2, outputs=2, top5=None, top5_interval=None)
    two = with_checks(two, Head.CLASSIFICATION, output_width=2)
    facts = records("vit_s16", Module(1, "S"), COLLECTION, "http://h", two, ORIGIN)
    card = cards("vit_s16", Module(1, "S"), COLLECTION, "http://h", two, ORIGIN)[Head.CLASSIFICATION]
    assert card in checked_files(facts).values()
    assert "top-5" not in card
    assert "tf.math.top_k(logits[0], 2)" in card
    assert "| top-1 agreement with the JAX model |" in card
    assert "The classifier always predicts one of its 2 classes" in card


def test_preprocessing_is_described_as_it_was_measured(report: Report) -> None:
    """The snippets always resize; what was measured may have been cropped."""

    def card(changed: Report) -> str:
        return cards("vit_s16", Module(1, "S"), COLLECTION, "http://h", changed, ORIGIN)[Head.FE].split("## Preproc")[1]

    assert "without antialiasing.\nSo did the evaluation. Another resizing" in card(report)
    assert "The evaluation used `crop` instead: it resized the shorter side to some" in card(
        with_measured(report, protocol="crop")
    )
    assert "antialiasing.\nAnother resizing, or a crop, changes the accuracy.\n" in card(not_measured(report))


def test_dropout_is_stated_where_there_is_any(report: Report) -> None:
    """A rate of 0 says what the model computes; it may still have been trained with dropout."""

    def card(rate: float) -> str:
        changed = with_model(report, dropout=rate)
        return cards("vit_s16", Module(1, "S"), COLLECTION, "http://h", changed, ORIGIN)[Head.FE]

    assert "The model has no dropout, so `training=True` computes the same as `training=False`." in card(0.0)
    assert "trained without" not in card(0.0)
    assert "With `training=True` it applies dropout with the rate 0.1 that it was trained with" in card(0.1)


def test_top_5_of_five_classes_is_no_result(report: Report) -> None:
    report = with_measured(report, outputs=5, top5=1.0)
    members_records = records("vit_s16", Module(1, "S"), COLLECTION, "http://h", report, ORIGIN)
    for path, text in checked_files(members_records).items():
        assert "top-5" not in text, path


def test_a_bar_in_a_source_ends_no_cell(report: Report) -> None:
    report = with_accuracy(report, reported=Reported(0.8, "table 2 | the last\ncolumn"))
    card = cards("vit_s16", Module(1, "S"), COLLECTION, "http://h", report, ORIGIN)[Head.FE]
    assert "| top-1 accuracy of the classifier, reported | 80.00 % | quoted: table 2 \\| the last column |\n" in card


def test_the_most_frequent_mistake_is_the_classifiers(pages: dict[Head, str]) -> None:
    mistake = 'is to predict "Coat" for "Shirt": 10 of 100 images.'
    assert f"\nThe most frequent mistake {mistake}\n" in pages[Head.CLASSIFICATION]
    assert f"\nThe most frequent mistake of the classifier {mistake}\n" in pages[Head.FE]


def test_an_accuracy_that_was_not_measured_is_stated_in_words(report: Report) -> None:
    report = not_measured(report, reported=QUOTED)
    for card in cards("vit_s16", Module(1, "S"), COLLECTION, "http://h", report, ORIGIN).values():
        assert "The publisher did **not measure** the accuracy" in card
        assert "; the reported figure is that of the original model.\n" in card


def test_a_card_says_how_the_weights_were_verified(report: Report) -> None:
    for weights, words in (
        (Verification.PINNED, "the digest is the one pinned for this member"),
        (
            Verification.DOWNLOADED,
            "are those of the first download from the member's addresses;\n  that download itself",
        ),
        (Verification.UNVERIFIED, "so it was **not verified** that these are\n  the original weights"),
    ):
        for text in cards(
            "vit_s16", Module(1, "S"), COLLECTION, "http://h", with_weights(report, weights), ORIGIN
        ).values():
            assert words in text
            assert ("not verified**" in text) is (weights is Verification.UNVERIFIED)


@pytest.mark.parametrize("measured", [True, False])
def test_nothing_is_quoted_for_unverified_weights(report: Report, measured: bool, tmp_path: Path) -> None:
    """Random weights under a real publisher's handle are not 80.46 % accurate; the first words of a page say so."""
    against = AgainstReported(0.80462, "the paper", True, "the reported 80.46 % is inside the 95 % interval")
    report = with_accuracy(report if measured else not_measured(report), reported=QUOTED)
    report = with_measured(report, against_reported=against) if measured else report
    quoting = {path.name: text for path, text in checked_files(records_of(report)).items()}
    assert "80.46 %" in quoting["classification.md"]
    report = with_weights(report, Verification.UNVERIFIED)
    for path, text in checked_files(records_of(report)).items():
        assert "80.46" not in text, path
        assert "0.804" not in text, path
        assert re.search("not verified|unverified weights", text.split("\n---\n")[-1][:400]), path
    for svg in render_plots("vit_s16", report).values():
        assert "80.46" not in svg
        assert "reported" not in svg
    reports_of(VIT, tmp_path, report)
    text = page(COLLECTION, VIT, tmp_path)
    assert "80.46" not in text
    assert "## Overview\n\n**Not verified: the weights of ViT-S16, ViT-B16, ViT-B32, ViT-L16, ViT-R26-S32" in text


def test_a_collection_says_first_how_many_members_have_unverified_weights(report: Report, tmp_path: Path) -> None:
    summary = "pre-trained on ImageNet-21k and fine-tuned on ImageNet-1k"
    reports_of(VIT, tmp_path, report)
    assert f"\nCollection of seven Vision Transformers {summary}.\n" in page(COLLECTION, VIT, tmp_path)
    for number, member in enumerate(SEVEN, start=1):
        path = tmp_path / member / "report.json"
        write_report(path, with_weights(load_report(path), Verification.UNVERIFIED))
        text = page(COLLECTION, VIT, tmp_path)
        expected = f"{summary}, {in_words(number)} of them with unverified weights."
        if number == len(SEVEN):
            expected = f"with unverified weights, which are not known to be those {summary}."
        assert f"\nCollection of seven Vision Transformers {expected}\n" in text
        assert text.count("| none: unverified weights |") == number


def records_of(report: Report) -> dict[Head, Record]:
    return records("vit_s16", Module(1, "ViT-S16"), COLLECTION, "https://hub.example", report, ORIGIN)


def test_a_card_says_where_the_weights_come_from(report: Report) -> None:
    def page(**facts: Any) -> str:
        changed = dataclasses.replace(report, checkpoint=dataclasses.replace(report.checkpoint, **facts))
        return cards("vit_s16", Module(1, "S"), COLLECTION, "http://h", changed, ORIGIN)[Head.FE]

    assert "from `gs://bucket/a.npz`;" in page(source="gs://bucket/a.npz")
    assert "from `" not in page(source="a.npz")  # a path on the publisher's machine stays private
    converted = page(source="hf://a/b/c.safetensors", converted_from="timm safetensors", source_sha256="1" * 64)
    assert (
        "converted back, bit for bit, from the timm safetensors of `hf://a/b/c.safetensors`, SHA-256 `111" in converted
    )


def test_a_card_says_how_the_gradients_were_compiled_if_not_as_users_have_them(report: Report) -> None:
    checks = report.modules[Head.FE]
    assert checks.gradients
    assert checks.fine_tuning
    quick = with_checks(
        report,
        Head.FE,
        gradients=replace(checks.gradients, optimization_level=0),
        fine_tuning=replace(checks.fine_tuning, optimization_level=0),
    )
    for each, count in ((report, 0), (quick, 2)):
        pages = cards("vit_s16", Module(1, "S"), COLLECTION, "http://h", each, ORIGIN)
        assert pages[Head.FE].count(", compiled at optimization level 0 |") == count


def test_a_report_without_gradients_fails_to_render(report: Report) -> None:
    """A report that failed a check lacks those that follow; a page with gaps is never written."""
    with pytest.raises((jinja2.UndefinedError, TypeError)):
        cards("vit_s16", Module(1, "S"), COLLECTION, "http://h", with_checks(report, Head.FE, gradients=None), ORIGIN)


def reports_of(folder: Path, artifacts: Path, report: Report) -> None:
    """Writes the report of each member of a collection all for 224 pixels, with its own model in it."""
    for path in folder.glob("*.yaml"):
        if path.name == "collection.yaml":
            continue
        model = yaml_sections.load(path, "model", Model)
        own = with_model(report, **describe_model(model))
        weights = dataclasses.replace(own.modules[Head.CLASSIFICATION].weights, parameters=PARAMETERS[model.variant])
        write_report(artifacts / path.stem / "report.json", with_checks(own, Head.CLASSIFICATION, weights=weights))


@pytest.mark.parametrize("path", MEMBERS, ids=lambda path: path.stem)
@pytest.mark.parametrize("measured", [True, False])
def test_every_members_cards_pass_every_check(path: Path, measured: bool, report: Report) -> None:
    collection = read_collection(path.parent / "collection.yaml")
    model, facts = yaml_sections.load(path, "model", Model), yaml.safe_load(path.read_text())
    own = with_model(report, **describe_model(model))
    own = with_checks(own, Head.CLASSIFICATION, output_width=model.classes)
    width = variant(model.variant).width if model.architecture == "vit" else 64
    own = with_checks(own, Head.FE, output_width=width)
    quoted = facts["evaluation"].get("reported")
    reported = Reported(**quoted) if quoted else None
    own = with_accuracy(own, reported=reported) if measured else not_measured(own, "no images were given", reported)
    module = yaml_sections.load(path, "module", Module)
    members_records = records(path.stem, module, collection, "https://hub.example", own, facts["checkpoint"])
    files = checked_files(members_records)
    assert {str(file) for file in files} == {
        *(f"out/{head}{ending}" for head in Head for ending in (".md", ".huggingface.md")),
        "out/kaggle/model-metadata.json",
        *(f"out/kaggle/{head}/model-instance-metadata.json" for head in Head),
    }
    for text in files.values():
        assert not re.search(r"[ \t]$|\n\n\n", text.replace("\\n", "\n"), re.MULTILINE)  # JSON's line ends, too
        assert "None" not in text


@pytest.mark.parametrize("text", ["[]", '{"model": {}}'])
def test_a_file_that_is_no_report_is_named(stage: Stage, tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    done = stage("card", ROOT / "model_cards/demo/vit_demo.yaml", tmp_path / "report.json", tmp_path / "out")
    assert_refused(done, f"{tmp_path}/report.json: ")
    assert not (tmp_path / "out").exists()


def test_a_card_that_breaks_a_rule_is_not_written(stage: Stage, report: Report, tmp_path: Path) -> None:
    member = tmp_path / "demo/vit_demo.yaml"
    member.parent.mkdir()
    for name in ("vit_demo.yaml", "collection.yaml", "fashion_mnist.tsv"):
        (member.parent / name).write_text((ROOT / "model_cards/demo" / name).read_text())
    write_report(tmp_path / "report.json", report)
    assert stage("card", member, tmp_path / "report.json", tmp_path / "out").returncode == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    facts = member.with_name("collection.yaml")
    facts.write_text(facts.read_text().replace("dataset_tag: fashion-mnist", "dataset_tag: fashion"))
    done = stage("card", member, tmp_path / "report.json", tmp_path / "out")
    assert_refused(done, f"{facts}:10: dataset_tag: 'fashion' is not a dataset of tfhub.dev (did you mean 'fash")
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("note", "message"),
    [
        (
            "## Results\n\nTop-1 accuracy 99.9 %.",
            r"classification\.md:\d+: expected one section 'Results', got 2; correct",
        ),
        ("```", r"classification\.md:\d+: expected one section 'Inputs and outputs', got 0; correct the YAML"),
        ("The digest is " + "0" * 64, r"classification\.md:\d+: the digest 0{64} is not in the report; correct"),
    ],
)
def test_a_note_that_contradicts_the_report_is_refused(report: Report, note: str, message: str) -> None:
    members_records = records("vit_s16", Module(1, "S", note), COLLECTION, "http://h", report, ORIGIN)
    with pytest.raises(Fault, match=message):
        checked_files(members_records)


def test_a_card_has_sections_on_use_provenance_and_citation(pages: dict[Head, str], report: Report) -> None:
    headings = (
        "Overview", "Example predictions", "Usage", "Results", "Intended use and limits", "Training",
        "Inputs and outputs", "Verification", "Compatibility", "Provenance", "Citation", "References",
    )  # fmt: skip
    for head, text in pages.items():
        without = set() if head == "classification" else {"Example predictions"}
        expected = [heading for heading in headings if heading not in without]
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == expected
        assert "second derivatives (for a gradient penalty, say) are not" in text
        assert f"make reproduce MODULE=https://hub.example/sayakpaul/vit_s16_{head}/1.tar.gz" in text
        assert report.modules[Head(head)].content_sha256 in text
        (bibtex,) = re.findall(r"^```bibtex\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        assert re.findall(r"^@\w+\{(\w+),$", bibtex, re.MULTILINE) == ["dosovitskiy2021image", "steiner2022train"]
        assert bibtex.count("{") == bibtex.count("}")


def test_compatibility_is_a_table_of_what_was_run(pages: dict[Head, str], report: Report) -> None:
    record = json.loads((ROOT / "templates/compatibility.json").read_text())
    rows = re.findall(r"^\| (2\.\d+\.\d+) \| \S+ \| \S+ \|$", pages[Head.FE], re.MULTILINE)
    assert rows == list(record["tensorflow"].values())
    other = report
    for head, checks in report.modules.items():
        other = with_checks(other, head, needs=dataclasses.replace(checks.needs, tensorflow="2.19"))
    card = cards("vit_s16", Module(1, "S"), COLLECTION, "http://h", other, ORIGIN)[Head.FE]
    assert "The module was run in TensorFlow 2.21.0 only, on a CPU; CUDA and TPU were not tested." in card


@pytest.mark.parametrize(
    ("split", "reason"),
    [("train", "they are of a training set"), ("validation", "their names are those of ImageNet's training images")],
)
def test_images_that_the_model_may_have_been_trained_on_are_counted(split: str, reason: str, report: Report) -> None:
    shown = with_measured(report, training_images=3, split=split)
    card = cards("vit_s16", Module(3, "S"), COLLECTION, "http://h", shown, ORIGIN)[Head.CLASSIFICATION]
    row = f"| images that the model may have been trained on | 3 | {reason}, so the accuracies above may be too high |"
    assert row in card.splitlines()


def test_plots_that_the_report_names_are_shown(report: Report) -> None:
    shown = dataclasses.replace(report, plots=(Plot("calibration.svg", "Calibration"),))
    card = cards("vit_s16", Module(3, "S"), COLLECTION, "http://h", shown, ORIGIN)[Head.FE]
    assert "### Plots\n\n![Calibration](3/plots/calibration.svg)\n\n## Intended use and limits\n" in card


def test_the_collections_page_counts_and_lists_its_members(report: Report, tmp_path: Path) -> None:
    reports_of(VIT, tmp_path, report)
    text = page(COLLECTION, VIT, tmp_path)
    assert text.startswith("# Collection sayakpaul/vit/1\n\nCollection of seven Vision Transformers pre-trained on ")
    assert "contains seven Vision Transformers [1] as 14 modules." in text
    assert not re.search(r"\beight\b", text)
    for title, head in (("Image classifiers", "classification"), ("Feature extractors", "fe")):
        section = re.split(r"^##+ ", text.split(f"### {title}\n")[1], flags=re.MULTILINE)[0]
        links = re.findall(r"^\* \[(ViT-[^\]]+)\]\((\S+)\)$", section, re.MULTILINE)
        assert [link for _, link in links] == [f"../../{name}_{head}/2.md" for name in SEVEN]  # in the seed's order
        assert len(links) == len({name for name, _ in links}) == 7
    for heading in ("## Overview", "## About the models", "## References"):
        assert heading in text


def test_the_collections_page_needs_every_report(report: Report, tmp_path: Path) -> None:
    reports_of(VIT, tmp_path, report)
    (tmp_path / "vit_b32/report.json").unlink()
    with pytest.raises(Fault, match=r"vit_b32/report\.json: no report; run make validate first"):
        page(COLLECTION, VIT, tmp_path)


def test_the_members_are_the_published_seven_and_the_demos() -> None:
    assert {path.stem for path in MEMBERS} == {*SEVEN, "vit_demo", "cnn_demo"}


def test_no_two_members_share_a_checkpoint() -> None:
    names = [yaml.safe_load(path.read_text())["checkpoint"]["name"] for path in MEMBERS]
    assert len(set(names)) == len(names)


def test_a_checkpoints_name_fits_its_variant() -> None:
    """The pool's file names open with the variant: R26_S_32 is R26+S/32."""
    for path in VIT.glob("vit_*.yaml"):
        facts = yaml.safe_load(path.read_text())
        *stem, size, patch = facts["checkpoint"]["name"].split("-")[0].split("_")
        assert "+".join([*stem, f"{size}/{patch}"]) == facts["model"]["variant"]


def test_the_collections_page_has_a_table_of_performance(report: Report, tmp_path: Path) -> None:
    reports_of(VIT, tmp_path, report)
    path = tmp_path / "vit_s16/report.json"
    write_report(path, not_measured(load_report(path), reported=Reported(0.8, "s")))
    text = page(COLLECTION, VIT, tmp_path)
    size = "| 224 | 22,050,664 | 0.0302 | 1.7 MB |"
    assert f"| [ViT-S16](../../vit_s16_classification/2.md) {size} not measured | 80.00 % | 64 |\n" in text
    assert "| 86,567,656 | 0.0302 | 1.7 MB | 91.90 % on 1,000 images | none | 64 |\n" in text


def test_the_performance_table_names_what_makes_a_figure_incomparable(report: Report, tmp_path: Path) -> None:
    reports_of(VIT, tmp_path, report)
    path = tmp_path / "vit_s16/report.json"
    own = with_measured(load_report(path), classes=10, outputs=1000, training_images=3)
    write_report(path, with_accuracy(own, dataset="ImageNet-V2"))
    cell = "91.90 % on 1,000 images of 10 of the 1,000 classes of ImageNet-V2, 3 of them perhaps trained on |"
    assert cell in page(COLLECTION, VIT, tmp_path)


def test_a_collections_page_with_a_wrong_count_is_refused(report: Report, tmp_path: Path) -> None:
    reports_of(VIT, tmp_path, report)
    wrong = dataclasses.replace(COLLECTION, overview="These eight models are among the best.")
    with pytest.raises(Fault, match=r"out/page\.md:\d+: 'eight models', but the page lists seven of them; correct"):
        page(wrong, VIT, tmp_path, "out/page.md")


@pytest.mark.parametrize("name", ["vit", "demo"])
def test_publishers_pages_pass_every_check(name: str) -> None:
    folder = ROOT / "model_cards" / name
    collection = read_collection(folder / "collection.yaml")
    modules = [
        ModuleEntry(
            handle(collection, path.stem, head, 1), yaml_sections.load(path, "module", Module).title, head.task, ()
        )
        for path in folder.glob("vit_*.yaml")
        for head in Head
    ]
    collections = [CollectionEntry(f"{collection.publisher.id}/collections/{name}/1", ())]
    text = render_publisher(collection.publisher, modules, collections)
    assert tf_hub_rules.problems(parse_page(text)) == []
    assert len(parse_page(text).links()) == len(modules) + 1


def test_a_classifier_refers_to_the_feature_extractor_for_other_classes(pages: dict[Head, str]) -> None:
    advice = "For classes of your own, start from [sayakpaul/vit_s16_fe/1](../vit_s16_fe/1.md) instead"
    assert advice in pages[Head.CLASSIFICATION]
    assert "For classes of your own" not in pages[Head.FE]


def test_publishers_page() -> None:
    modules = [ModuleEntry("sayakpaul/a_fe/1", "A", "image-feature-vector", ())]
    text = render_publisher(COLLECTION.publisher, modules, [])
    assert text.startswith("# Publisher sayakpaul\n\nSayak Paul\n\n## About\n")
    assert "* [sayakpaul/a_fe/1](a_fe/1.md), A, image-feature-vector, draft\n" in text
    assert "Collections" not in text


def test_counts_are_spelled() -> None:
    assert [in_words(n) for n in (1, 7, 12, 13)] == ["one", "seven", "twelve", "13"]
