"""Texts of YAML files: each rule for pages is known before anything is made, with the text's file and line."""

import dataclasses
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.add import add
from pipeline.base.fault import Fault
from pipeline.base.yaml_sections import Member
from pipeline.cards.collection_page import list_member, render_collection
from pipeline.cards.page import parse_page
from pipeline.cards.record import CardFacts, records
from pipeline.facts.collection import Collection, Module, Publisher, Reference, collection_of
from pipeline.hub.markdown import publisher_name, render_page
from pipeline.hub.publisher_page import render_publisher
from pipeline.prose import faults as prose_faults
from pipeline.prose.fields import MemberTexts, fields_of
from pipeline.prose.read import find_text_faults, read_texts, refuse_text_faults
from pipeline.prose.stand_in import stand_in_report
from tests.card_facts import checked_files
from tests.conftest import ROOT


def faults(folder: Path, hub_url: str | None = None) -> list[str]:
    """Returns the faults of the member `mini` without the folder's path."""
    return [text.replace(f"{folder}/", "") for text in find_text_faults(Member(folder / "mini.yaml"), hub_url)]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("member", sorted(ROOT.glob("model_cards/*/vit_*.yaml")), ids=lambda path: path.stem)
def test_every_member_of_the_project_is_good(member: Path) -> None:
    refuse_text_faults(member)


@pytest.mark.parametrize(
    "tuning", ["", *(f"--{name}-steps_10k-lr_0.003-res_384" for name in ("imagenet2012", "cifar100", "kitti"))]
)  # fmt: skip
def test_the_drafts_of_make_add_are_good(tmp_path: Path, tuning: str) -> None:
    """Members of other sizes and data sets share a collection's prose."""
    for name in ("labels", "vit"):
        (tmp_path / name).symlink_to(ROOT / "model_cards" / name)
    for variant in ("S_16", "R50_L_32"):
        checkpoint = f"{variant}-i21k-300ep-lr_0.001-aug_light1-wd_0.1-do_0.1-sd_0.1{tuning}"
        added = add(checkpoint, tmp_path, "drafts", f"vit_{variant.lower().replace('_', '')}_draft", None)
        refuse_text_faults(tmp_path / "drafts" / f"{added.member}.yaml")


def test_the_texts_of_a_collection_of_a_thousand_members_are_checked(tiny: Path) -> None:
    """Its page is tried with some of them; its texts may count all, and speak of what one alone is."""
    text = (tiny / "mini.yaml").read_text()
    for number in range(999):
        (tiny / f"other{number}.yaml").write_text(text.replace("title: mini", f"title: other {number}"))
    for number in (500, 700):
        edit(tiny / f"other{number}.yaml", "image_size: 16", "image_size: 24")
    edit(tiny / "other500.yaml", "title: other 500", "titel: other 500")  # its own stages report it
    overview = "They are random: 999 models, one of which takes images of 24x24 pixels."
    edit(tiny / "collection.yaml", "overview: They are random.", f"overview: '{overview}'")
    assert faults(tiny) == []
    edit(tiny / "collection.yaml", "24x24", "32x32")
    (fault,) = faults(tiny)
    assert fault.startswith("collection.yaml:")
    assert "names 32x32" in fault


def test_a_good_member_has_no_faults(tiny: Path) -> None:
    assert faults(tiny) == []


TITLE, NOTE = "title: mini\n", "title: mini\n  note: |\n    A note.\n\n    {}\n"
FIELDS = ("overview: They are random.", "about: They are tiny.")


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        # What a Markdown text does to the page around it; the line is that of the text.
        ("mini.yaml", TITLE, NOTE.format("```python"), "22: module.note: the code block that begins with '```' on lin"),
        ("mini.yaml", TITLE, NOTE.format("~~~\n    x"), "22: module.note: the code block that begins with '~~~' on li"),
        ("mini.yaml", TITLE, NOTE.format("<!-- a"), "22: module.note: the HTML that begins on line 3 of the text is n"),
        ("mini.yaml", TITLE, NOTE.format("[1]: http://a"), "22: module.note: '[1]:' defines a link for the whole page"),
        ("mini.yaml", TITLE, NOTE.format("## Results"), "22: module.note: expected one section 'Results', got 2; corr"),
        ("mini.yaml", TITLE, NOTE.format("# A"), "22: module.note: the heading 'A' has the level of the page's title;"),
        ("mini.yaml", TITLE, NOTE.format("##### A"), "22: module.note: the heading 'A' is of level 5 below one of lev"),
        # HTML, links, pictures, citations, tags
        ("mini.yaml", TITLE, NOTE.format("a <b>b"), "22: module.note: raw HTML, '<b>': expected Markdown, and HTML fo"),
        ("mini.yaml", TITLE, NOTE.format("<!-- a: b -->"), "22: module.note: the tag '<!-- a: b -->' has no effect he"),
        ("mini.yaml", TITLE, NOTE.format("[a](b.md)"), "22: module.note: the link 'b.md' leads to a place beside "),
        ("mini.yaml", TITLE, NOTE.format("![a](b.png)"), "22: module.note: the link 'b.png' leads to a place beside "),
        ("mini.yaml", TITLE, NOTE.format("[a](/b)"), "22: module.note: the link '/b' works on one machine or host onl"),
        ("mini.yaml", TITLE, NOTE.format("[a](javascript:b)"), "22: module.note: the link 'javascript:b' works on one"),
        ("mini.yaml", TITLE, NOTE.format("![a](http://b/c)"), "22: module.note: the picture 'http://b/c' is on anothe"),
        ("mini.yaml", TITLE, NOTE.format("As [7] says."), "22: module.note: [7] is cited, but the references end at ["),
        ("collection.yaml", FIELDS[0], "overview: A <i>.", "9: overview: raw HTML, '<i>': expected Markdown"),
        ("collection.yaml", FIELDS[0], "overview: These four models.", "9: overview: 'four models', but the page list"),
        ("collection.yaml", FIELDS[1], "about: |\n  a\n\n  ```", "13: about: the code block that begins with '```' on"),
        ("collection.yaml", "For tests.", "A <i>.", "3: publisher.about: raw HTML, '<i>': expected Markdown"),
        ("collection.yaml", "For tests.", '"```"', "3: publisher.about: the code block that begins with '```' on line"),
        ("collection.yaml", "name: Tester,", "name: T, kaggle: My Name,", "3: publisher.kaggle: ownerSlug must be low"),
        ("collection.yaml", "summary: never", "summary: Small. And never", "4: summary: the description must be one s"),
        ("collection.yaml", "training: never", "training: as [8] says, never", "5: training: [8] is cited, but the re"),
        ("collection.yaml", "dataset_tag: other", "dataset_tag: color", "6: dataset_tag: 'color' is not a dataset of"),
        ("collection.yaml", "apache-2.0", "Apache 2", "8: license: 'Apache 2' is not a license of tfhub.dev (did you"),
        ("collection.yaml", '"https://github.com/jax-ml/jax"', '"ftp://a/b"', "13: references[1].url: the link 'ftp:/"),
        (
            "collection.yaml", "http://localhost:8080", "https://github.com/a/b/releases/download/c",
            "2: hub_url: asset-path 'https://github.com/a/b/releases/download/c/tester/mini_classification/1.tar.gz' m",
        ),
    ],
)  # fmt: skip
def test_a_text_that_breaks_a_rule_is_named_with_file_and_line(
    tiny: Path, file: str, old: str, new: str, message: str
) -> None:
    edit(tiny / file, old, new)
    (fault,) = faults(tiny)
    assert fault.startswith(f"{file}:{message}")


def test_every_text_of_the_files_is_tried(tiny: Path) -> None:
    """A key that is added to a section is tried on pages, or named here with the reason why it is not."""
    collection, hub_url = collection_of(tiny / "mini.yaml", None)
    fields = {field.name for field in fields_of(read_texts(Member(tiny / "mini.yaml"), collection, hub_url))}
    elsewhere = {
        "name",
        "hub_url",
        "activation",
        "formats",
        "notebooks_url",
    }  # checked by Collection; HUB_URL may replace hub_url
    keys = {field.name for field in dataclasses.fields(Collection)} - {"publisher", "references"}
    assert keys <= fields | elsewhere
    assert {f"publisher.{field.name}" for field in dataclasses.fields(Publisher)} <= fields
    assert {f"references[0].{field.name}" for field in dataclasses.fields(Reference)} <= fields
    assert {f"module.{field.name}" for field in dataclasses.fields(Module)} - {"module.version"} <= fields


def test_faults_of_several_texts_are_told_at_once(tiny: Path) -> None:
    edit(tiny / "mini.yaml", TITLE, NOTE.format("```"))
    edit(tiny / "collection.yaml", "apache-2.0", "Apache 2")
    edit(tiny / "collection.yaml", "They are tiny.", "They are <b>tiny</b>.")
    assert [fault.split(": ")[1] for fault in faults(tiny)] == ["module.note", "license", "about", "about"]


def test_the_setting_hub_url_is_named(tiny: Path) -> None:
    url = "https://github.com/a/b/releases/download/c"
    (fault,) = faults(tiny, url)
    assert fault.startswith(f"HUB_URL={url}: asset-path '{url}/tester/mini_classification/1.tar.gz' may not be fetched")


def test_another_member_that_is_malformed_is_its_own_matter(tiny: Path) -> None:
    (tiny / "broken.yaml").write_text("model: 7\n")
    assert faults(tiny) == []
    (tiny / "other.yaml").write_text((tiny / "mini.yaml").read_text())
    edit(tiny / "collection.yaml", "They are random.", "These two models are random.")
    assert faults(tiny) == []


# Prose of another collection -----------------------------------------------------------------------------------------
@pytest.fixture
def copied(tiny: Path) -> Path:
    """The demo's collection.yaml beside a model of colours, which its owner has only renamed."""
    text = (ROOT / "model_cards/demo/collection.yaml").read_text()
    (tiny / "collection.yaml").write_text(text.replace("name: demo", "name: tiny", 1))
    return tiny


def test_a_collection_that_was_copied_is_refused(copied: Path) -> None:
    assert [fault.split("(")[0] for fault in faults(copied)] == [
        "mini.yaml:12: evaluation.dataset: 'the test set of colours' does not name the collection's data set,"
        " 'Fashion-MNIST' ",
        "mini.yaml:8: model.classes: 3 classes, but Fashion-MNIST has 10 ",
        "collection.yaml:9: training: names 'model_cards/demo/', which belongs to another collection than 'tiny' ",
    ]  # fmt: skip
    edit(copied / "collection.yaml", "dataset_name: Fashion-MNIST", "dataset_name: Colours")
    edit(copied / "collection.yaml", "They take RGB images", "They take RGB images of 28x28 pixels")
    assert [fault.split(": ")[:2] for fault in faults(copied)] == [
        ["collection.yaml:8", "summary"],
        ["collection.yaml:9", "training"],
        ["collection.yaml:17", "overview"],
        ["collection.yaml:22", "about"],
        ["collection.yaml:10", "dataset_tag"],
        ["collection.yaml:12", "huggingface_dataset"],
        ["collection.yaml:37", "references[1]"],
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title: mini", "title: ViT-L16", "18: module.title: 'ViT-L16' names ViT-L16, but the architecture is Mini/8 "),
        ("title: mini", "title: mini on MNIST", "18: module.title: 'mini on MNIST' names MNIST, but the data set is C"),
        ("title: mini", "title: mini-384", "18: module.title: 'mini-384' names 384, but the input is of 16x16 pixels "),
        (TITLE, NOTE.format("It takes 224x224 pixels."), "22: module.note: 'It takes 224x224 pixels.' names 224x224,"),
        (TITLE, NOTE.format("It is the L/16."), "22: module.note: 'It is the L/16.' names L/16, but the archi"),
        (TITLE, NOTE.format("Fine-tuned on SVHN."), "22: module.note: 'Fine-tuned on SVHN.' names SVHN, but the data"),
    ],
)  # fmt: skip
def test_a_member_that_was_copied_is_refused(tiny: Path, old: str, new: str, message: str) -> None:
    edit(tiny / "mini.yaml", old, new)
    (fault,) = faults(tiny)
    assert fault.startswith(f"mini.yaml:{message}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("variant: S/16", "variant: B/16", "8: model.variant: 'B/16', but by its name the checkpoint has 'S/16' ("),
        (
            "classes: 1000",
            "classes: 1000\n  dropout: 0.1",
            "11: model.dropout: 0.1, but by its name the checkpoint has",
        ),
    ],
)
def test_a_model_unlike_its_checkpoints_name_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    vit, member = tmp_path / "vit", tmp_path / "vit/vit_s16.yaml"
    shutil.copytree(ROOT / "model_cards/vit", vit)
    edit(member, old, new)
    faults_of_model = [fault for fault in find_text_faults(Member(member), None) if ": model." in fault]
    assert faults_of_model[0].startswith(f"{member}:{message}")
    assert f"{member}:2: checkpoint.name); correct the one that is wrong" in faults_of_model[0]


def test_a_model_unlike_an_upstream_file_of_its_checkpoints_name_is_refused(tmp_path: Path) -> None:
    for name in ("vit", "labels"):
        shutil.copytree(ROOT / "model_cards" / name, tmp_path / name)
    member = add("gs://vit_models/gsam/ViT-B_16.npz", tmp_path, None, None, None).files[-1]
    edit(member, "pooling: gap", "pooling: map")
    edit(member, "image_size: 224", "image_size: 384")  # any other size can be asked for
    (fault,) = find_text_faults(Member(member), None)
    assert ": model.options: {'pooling': 'map'}, but by its name the checkpoint has {'pooling': 'gap'} (" in fault


@pytest.mark.parametrize(
    ("overview", "has_fault"),
    [
        ("They are random.", True),
        ("They were trained on 3 GPUs.", True),
        ("They are random, see [1, 3].", False),
        ("Their weights were pre-trained on CIFAR-10, others on MNIST.", False),
    ],
)
def test_a_reference_on_another_data_set_is_cited_or_in_use(tiny: Path, overview: str, has_fault: bool) -> None:
    file = tiny / "collection.yaml"
    edit(file, "overview: They are random.", f'overview: "{overview}"')
    file.write_text(f'{file.read_text()}  - {{text: "CIFAR-10, by its author", url: "https://example.org"}}\n')
    found = [fault for fault in faults(tiny) if "references[2]" in fault]
    assert [fault.endswith(": dataset_name); cite it, or remove it") for fault in found] == [True] * has_fault


@pytest.mark.parametrize(
    ("name", "message"), [("vit_s16", "names s16, but"), ("vit_mini8_224", "names 224, but the input")]
)
def test_a_members_name_that_is_anothers_is_refused(tiny: Path, name: str, message: str) -> None:
    path = (tiny / "mini.yaml").rename(tiny / f"{name}.yaml")
    (fault,) = find_text_faults(Member(path), None)
    assert fault.startswith(f"{path}:6: model.variant: the member's name, {name!r} {message}")


# Plain text ----------------------------------------------------------------------------------------------------------
HOSTILE = (
    "photographs <set A>", "a | b", "one [a](javascript:x)", "*bold* _it_ `code`", "<script>alert(1)</script>",
    "$x$ ${NAME}", "شمس 🌞", "# head", "<!-- a: b -->", "![i](http://a/b.png)", "[1]: http://a", "AT&T &lt;", "```",
    "- item", "a\\", "[9]x",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_plain_text_of_any_kind_is_published_as_it_was_written(tiny: Path, text: str) -> None:
    """Titles, names of classes, data sets, publishers and sources."""
    quoted = "'" + text.replace("'", "''") + "'"
    for old, new in (
        ("title: mini", f"title: {quoted}"),
        ("dataset: the test set of colours", f"dataset: {quoted}\n  reported: {{top1: 0.5, source: {quoted}}}"),
    ):
        edit(tiny / "mini.yaml", old, new)
    edit(tiny / "collection.yaml", "name: Tester", f"name: {quoted}")
    edit(tiny / "collection.yaml", "text: The paper", f"text: {quoted}")
    (tiny / "labels.tsv").write_text(f"red\t{text}\ngreen\tGreen\nblue\t{text}!\n")
    assert faults(tiny) == []
    collection, hub_url = collection_of(tiny / "mini.yaml", None)
    texts = read_texts(Member(tiny / "mini.yaml"), collection, hub_url)
    report = stand_in_report(texts.model, texts.evaluation, texts.labels, is_measured=True)
    facts = CardFacts("mini", texts.module, collection, hub_url, "mini")
    card = next(iter(checked_files(records(facts, report)).values()))
    words = "".join(piece.text + "\n" for piece in parse_page(card).paragraphs())
    assert f'is to predict "{text}!" for "{text}"' in words
    assert f"quoted: {text}" in words
    assert f"images of 3 classes of {text}, over" in words
    page = render_collection(collection, [list_member(collection, "mini", texts.module, report)])
    assert f"\n{text}\n" in "\n" + "\n".join(piece.text for piece in parse_page(page).paragraphs()) + "\n"
    about = render_publisher(collection.publisher, (), ())
    assert publisher_name(about) == text
    html = render_page(about, "tester/tester.md", ())
    assert "<script>" not in html.body + html.lede


def test_a_fault_of_the_card_stage_names_the_same_line(tiny: Path) -> None:
    edit(tiny / "mini.yaml", TITLE, NOTE.format("```"))
    with pytest.raises(Fault, match=re.escape(f"{tiny}/mini.yaml:22: module.note: the code block")):
        refuse_text_faults(tiny / "mini.yaml")


def test_a_text_is_found_by_halves(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rendering of the pages takes as long as the references that they list."""
    path = tiny / "collection.yaml"
    references = "".join(f"  - {{text: A paper, url: https://example.org/{number}}}\n" for number in range(90))
    path.write_text(path.read_text() + references + '  - {text: A paper, url: "x:y"}\n')
    calls: list[object] = []
    find = prose_faults.find_problems

    def count(texts: MemberTexts, *arguments: Any) -> Any:
        calls.append(texts)
        return find(texts, *arguments)

    monkeypatch.setattr(prose_faults, "find_problems", count)
    (fault,) = faults(tiny)
    assert re.match(r"collection\.yaml:\d+: references\[\d+\]\.url: the link 'x:y' works on one machine or host", fault)
    assert len(calls) < 25  # of 290 texts


def test_a_long_text_is_refused_before_pages_are_rendered(tiny: Path) -> None:
    edit(tiny / "collection.yaml", "overview: They are random.", f"overview: They are random. {'a' * 20_000}")
    (fault,) = faults(tiny)
    assert fault == "collection.yaml:9: overview: 20,017 characters, expected at most 20,000; shorten it"
