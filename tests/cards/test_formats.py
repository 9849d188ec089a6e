"""The section of a card on further formats: what it says, and that a wrong figure in it is refused."""

import ast
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.templates import TEMPLATES
from pipeline.card import main
from pipeline.cards import kaggle
from pipeline.cards.claims import prose_quote_problems
from pipeline.cards.formats import TEMPLATE, formats_beside, formats_problems, listed_problems, read_formats
from pipeline.cards.hugging_face import check_readme, readme
from pipeline.cards.page import Problem, parse_page
from pipeline.facts.formats import DEFAULT, FormatFile, FormatName, FormatReport
from pipeline.facts.report import Report
from tests.card_facts import checked_files, demo_cards, demo_records
from tests.conftest import ROOT
from tests.format_facts import LEFT_OUT, TEST_SET, demo_reports, exact, formats_of, on_images, quantized, write_formats
from tests.reports import QUOTED, not_measured, with_checks, with_model, write_report

CLASSIFIER = Head.CLASSIFICATION


def card(report: Report, head: Head = CLASSIFIER, formats: tuple[FormatReport, ...] | None = None) -> str:
    """Returns the demo's card with formats."""
    shown = replace(formats_of(report), modules={head: demo_reports(head) if formats is None else formats})
    return demo_cards(report, shown)[head]


def section(text: str) -> str:
    lines = text.split("\n")
    found = parse_page(text).section("Other formats")
    return "\n".join(lines[found.start - 1 : found.stop - 1]) if found else ""


def texts(problems: list[Problem]) -> str:
    return "\n".join(f"{problem.line}: {problem.text}" for problem in problems)


# What it says --------------------------------------------------------------------------------------------------------
def test_cards_name_the_files_with_their_figures(report: Report) -> None:
    shown = section(card(report))
    assert "each run in its own: TensorFlow 2.21.0, LiteRT 2.3.0, onnxruntime 1.32.0.\n" in shown
    assert "compare with the module, on 1,000 images of the Fashion-MNIST test set.\n" in shown
    assert (
        "| LiteRT | [model.tflite](1/model.tflite), 1.3 MB | phones, small computers, browsers | relative error 4.1e-07"
        " (limit 1e-05), minimum cosine similarity 0.9999999999, same class for 100.00 %, top-1 accuracy 91.90 %"
        " (module 91.90 %) | inference only |\n"
    ) in shown
    assert (
        "| minimum cosine similarity 0.9991, same class for 99.70 %, top-1 accuracy 92.00 % (module 91.90 %) |"
    ) in shown
    assert "- ONNX: `pixel_values`, float32 (n, 3, 28, 28), channels first, to `logits`; " in shown
    assert shown.endswith("ONNX, int8 is not published: the smallest cosine to float32 is 0.98000 (at least 0.99).")


def test_features_have_no_classes_and_their_files_no_tokens(report: Report) -> None:
    shown = section(card(report, Head.FE))
    assert "| minimum cosine similarity 0.9991 | inference only; rounded weights |" in shown
    assert "top-1" not in shown
    assert "no signatures for image files and no tokens." in shown
    assert "to `image_embeds`; " in shown


def test_files_that_saw_no_images_have_the_check_that_they_passed(report: Report) -> None:
    formats = (replace(exact(CLASSIFIER, FormatName.ONNX, "onnxruntime 1", "onnx/model.onnx", 10), on_images=None),)
    shown = section(card(report, formats=(quantized(CLASSIFIER, None), *formats)))
    assert "| cosine similarity to the JAX model 0.9985 (at least 0.99) |" in shown
    assert "| relative error 4.1e-07 (limit 1e-05) |" in shown
    assert "Relative errors are to the JAX model.\n" in shown


def test_images_that_differ_are_named_in_each_row(report: Report) -> None:
    few = quantized(CLASSIFIER, on_images(CLASSIFIER, images=16))
    shown = section(card(report, formats=(*demo_reports(CLASSIFIER)[:2], few)))
    assert "(module 91.90 %), on 16 images of the Fashion-MNIST test set |" in shown
    assert shown.count(f"(module 91.90 %), on 1,000 images of {TEST_SET} |") == 2
    assert "Relative errors are to the JAX model.\n" in shown


def test_formats_that_are_all_left_out_have_their_reason_alone(report: Report) -> None:
    text = card(report, formats=(LEFT_OUT,))
    assert section(text) == (
        "## Other formats\n\nONNX, int8 is not published: the smallest cosine to float32 is 0.98000 (at least 0.99)."
    )
    assert "pip install onnxruntime" not in text


def test_a_reason_is_plain_text(report: Report) -> None:
    left_out = replace(LEFT_OUT, left_out="it has <b>stablehlo.custom_call</b> | *more*.")
    shown = section(card(report, formats=(left_out,)))
    assert shown.endswith(r"not published: it has \<b>stablehlo.custom_call\</b> \| \*more\*.")


def test_a_module_of_no_other_format_has_no_section(report: Report) -> None:
    assert card(report, formats=()) == demo_cards(report)[CLASSIFIER]
    assert "Other formats" not in demo_cards(report)[CLASSIFIER]


def test_snippets_install_what_they_import_and_load_files_of_the_version(report: Report) -> None:
    for head in Head:
        text = card(report, head)
        snippets = re.findall(r"^### (?:LiteRT|ONNX)[^`]*`(.*?)`:\n\n```python\n(.*?)^```$", text, re.M | re.S)
        assert len(snippets) == 2
        for install, snippet in snippets:
            names = {node.module or "" for node in ast.walk(ast.parse(snippet)) if isinstance(node, ast.ImportFrom)}
            names |= {
                it.name for node in ast.walk(ast.parse(snippet)) if isinstance(node, ast.Import) for it in node.names
            }
            packages = {name.split(".")[0].replace("_", "-").replace("PIL", "pillow") for name in names}
            assert packages - {"urllib", "numpy"} == set(install.split()[2:])
            (address,) = re.findall(r'urlretrieve\("(.*?)"\)', snippet)
            assert address.startswith(f"https://hub.example/vit-publisher/vit_demo_{head}/1/")
            assert f"]({address.split(f'_{head}/')[1]})" in section(text)


# Other hosts ---------------------------------------------------------------------------------------------------------
def test_every_page_with_formats_keeps_its_host_s_rules(report: Report) -> None:
    for page in checked_files(demo_records(report, formats_of(report))).values():
        assert "\n\n\n" not in page
        assert not re.search(r"[ \t]$", page, re.MULTILINE)


def test_pages_of_other_hosts_link_to_the_publisher_s_hub(report: Report) -> None:
    record = demo_records(report, formats_of(report))[CLASSIFIER]
    page = readme(record)
    check_readme(page, report, "README.md")
    files = "https://hub.example/vit-publisher/vit_demo_classification/1"
    assert f"[model_int8.tflite]({files}/model_int8.tflite), 0.4 MB" in page
    assert "files for other programs, in the publisher's hub, each run" in page
    assert "ai_edge_litert" not in page
    metadata = json.loads(kaggle.model_metadata(record))["description"]
    assert f"in other formats, too: [plain TensorFlow, LiteRT, ONNX]({files}.md)." in metadata
    without = demo_records(report)[CLASSIFIER]
    assert "other formats" not in readme(without).lower() + kaggle.model_metadata(without)


# Wrong figures -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("head", Head)
def test_a_rendered_card_says_what_formats_json_does(report: Report, head: Head) -> None:
    for formats in (demo_reports(head), (LEFT_OUT,), ()):
        page = parse_page(card(report, head, formats))
        assert formats_problems(page, report, head, formats) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("similarity 0.9991, ", "similarity 0.9999, "),
        ("same class for 99.70 %", "same class for 100.00 %"),
        ("top-1 accuracy 92.00 %", "top-1 accuracy 92.10 %"),
        ("92.00 % (module 91.90 %)", "92.00 % (module 91.80 %)"),
        ("on 1,000 images of", "on 50,000 images of"),
        ("[model.tflite](1/model.tflite), 1.3 MB", "[model.tflite](1/model.tflite), 0.3 MB"),
        ("[model.tflite](1/model.tflite)", "[model.tflite](1/model_int8.tflite)"),
        ("float32 (n, 3, 28, 28)", "float32 (n, 3, 32, 32)"),
        ("is 0.98000 (at", "is 0.98001 (at"),
        ("LiteRT 2.3.0, ", "LiteRT 2.3.1, "),
        ("| rel", "| no rel"),
    ],
)
def test_a_figure_that_formats_json_does_not_have_is_refused(report: Report, old: str, new: str) -> None:
    text = card(report)
    start = text.index(old, text.index("## Other formats"))
    line = text.count("\n", 0, start)
    wrong = text[:start] + new + text[start + len(old) :]
    problems = formats_problems(parse_page(wrong), report, CLASSIFIER, demo_reports(CLASSIFIER))
    expected, got = text.split("\n")[line], wrong.split("\n")[line]
    text = f"expected {expected!r} by formats.json, got {got!r}; publish the card again (make publish)"
    assert problems == [Problem(line + 1, text)]


def test_a_section_that_is_missing_repeated_or_unfounded_is_refused(report: Report) -> None:
    formats = demo_reports(CLASSIFIER)

    def problems(text: str, formats: tuple[FormatReport, ...]) -> str:
        return texts(formats_problems(parse_page(text), report, CLASSIFIER, formats))

    without, with_section = card(report, formats=()), card(report)
    assert "expected one section 'Other formats', got 0; correct the YAML" in problems(without, formats)
    assert "expected no section 'Other formats', got 1; correct the YAML" in problems(with_section, ())
    twice = with_section.replace("### Preprocessing\n", "### Other formats\n\nMany.\n\n### Preprocessing\n")
    assert "expected one section 'Other formats', got 2; correct the YAML" in problems(twice, formats)


def test_a_note_cannot_bring_the_section(report: Report) -> None:
    record = demo_records(report)[CLASSIFIER]
    module = replace(record.facts.module, note="## Other formats\n\nTop-1 accuracy 99 %.")
    records = {CLASSIFIER: replace(record, facts=replace(record.facts, module=module))}
    with pytest.raises(Fault, match=r"out/classification\.md:\d+: expected no section 'Other formats', got 1"):
        checked_files(records)


def test_an_accuracy_of_a_format_is_not_taken_for_a_reported_one(report: Report) -> None:
    quoted = not_measured(report, reported=replace(QUOTED, top1=0.92))
    other_size = with_model(quoted, checkpoint_image_size=32)
    page = parse_page(card(other_size))
    assert "top-1 accuracy 92.00 %" in page.text
    assert list(prose_quote_problems(page, other_size)) == []


# The index -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class ListedFormat:
    """A format of an entry in the index."""

    files: tuple[str, ...]
    max_rel: float | None
    cosine: float | None
    same_class: float | None
    top1: float | None


def listed(head: Head, **changes: Any) -> list[ListedFormat]:
    """Returns the formats of the demo's card as the index has them, with changes of each."""
    return [
        replace(
            ListedFormat(
                tuple(f"vit-publisher/vit_demo_{head}/1/{file.path}" for file in report.files),
                report.max_rel, on.cosine, on.same_class, on.top1,
            ),
            **changes,
        )
        for report in demo_reports(head)
        if report.files and (on := report.on_images)
    ]  # fmt: skip


@pytest.mark.parametrize("head", Head)
def test_a_rendered_card_says_what_the_index_does(report: Report, head: Head) -> None:
    page = parse_page(card(report, head))
    assert list(listed_problems(page, listed(head))) == []
    assert list(listed_problems(parse_page(card(report, head, ())), listed(head))) == []


def test_a_figure_that_the_index_does_not_have_is_refused(report: Report) -> None:
    page = parse_page(card(report))
    for changes, text in (
        ({"cosine": 0.5}, "expected 'minimum cosine similarity 0.5000', as the index has of vit-publisher/"),
        ({"same_class": 0.5}, "expected 'same class for 50.00 %'"),
        ({"top1": 0.5}, "expected 'top-1 accuracy 50.00 %'"),
        ({"max_rel": 0.5}, "expected 'relative error 5.0e-01'"),
    ):
        found = list(listed_problems(page, listed(CLASSIFIER, **changes)))
        assert len(found) == 4
        assert all(text in problem.text for problem in found)
        assert page.lines[found[1].line - 1].startswith("| LiteRT | ")


def test_a_file_that_the_index_does_not_list_is_refused(report: Report) -> None:
    page = parse_page(card(report))
    (problem,) = listed_problems(page, listed(CLASSIFIER)[:-1])
    assert problem.text == (
        "the index lists no format with the file vit-publisher/vit_demo_classification/1/onnx/model.onnx;"
        " publish the card again (make publish)"
    )


# formats.json --------------------------------------------------------------------------------------------------------
def test_the_formats_of_another_module_are_refused(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "formats.json"
    write_formats(path, formats_of(report))
    assert read_formats(path, "vit_demo", report) == formats_of(report)
    with pytest.raises(Fault, match=r"formats\.json: the formats of 'vit_demo', expected those of 'mini'; run make"):
        read_formats(path, "mini", report)
    other = with_checks(report, Head.FE, content_sha256="0" * 64)
    with pytest.raises(Fault, match=r"formats of fe were made from another model .*: content f8b3\w+ there, 0"):
        read_formats(path, "vit_demo", other)
    with pytest.raises(Fault, match=r"none\.json: no such file; run make formats first"):
        read_formats(tmp_path / "none.json", "vit_demo", report)


def test_the_formats_beside_a_report_are_those_of_its_modules(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    assert formats_beside(path, report, Head.FE) is None
    write_formats(tmp_path / "formats.json", formats_of(report))
    assert formats_beside(path, report, Head.FE) == demo_reports(Head.FE)
    assert formats_beside(path, with_checks(report, Head.FE, content_sha256="0" * 64), Head.FE) is None
    (tmp_path / "formats.json").write_text("{}")
    with pytest.raises(Fault, match=r"formats\.json: expected a report of formats of schema 1"):
        formats_beside(path, report, Head.FE)


def test_the_stage_writes_the_section(report: Report, tmp_path: Path) -> None:
    member, path = ROOT / "model_cards/demo/vit_demo.yaml", tmp_path / "formats.json"
    write_report(tmp_path / "report.json", report)
    arguments = [str(member), str(tmp_path / "report.json"), str(tmp_path), "--formats", str(path)]
    write_formats(path, formats_of(report, "mini"))
    with pytest.raises(Fault, match="the formats of 'mini'"):
        main(arguments)
    write_formats(path, formats_of(report))
    assert main(arguments) == "vit_demo"
    assert "[model.tflite](2/model.tflite)" in (tmp_path / "classification.md").read_text()


def test_the_rows_in_the_documentation_are_rendered(report: Report) -> None:
    small = quantized(CLASSIFIER, on_images(CLASSIFIER, cosine=0.9991, same_class=1.0, top1=0.919))
    file = FormatFile("onnx/model_quantized.onnx", "4" * 64, 418_000)
    other = replace(small, name=FormatName.ONNX_INT8, files=(file,), on_images=on_images(CLASSIFIER, cosine=0.9974))
    shown = section(card(report, formats=(small, other)))
    rows = re.findall(r"^\| .*\n", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", shown), re.MULTILINE)
    assert len(rows) == 3
    for row in rows:
        assert row in (ROOT / "docs/cards.md").read_text()


def test_the_documentation_names_every_format_and_the_default() -> None:
    text = (ROOT / "docs/formats.md").read_text()
    assert re.findall(r"^\| `([a-z0-9-]+)` \| `", text, re.MULTILINE) == [name.value for name in FormatName]
    (default,) = re.findall(r"adds these formats to every version: (.*?)\. ", text)
    assert re.findall("`(.*?)`", default) == list(DEFAULT)


def test_no_figure_is_typed_into_the_template() -> None:
    text = re.sub(r"\{[{%#].*?[}%#]\}", "", (TEMPLATES / TEMPLATE).read_text(), flags=re.DOTALL)
    assert set(re.findall(r"(?<!\w)-?\d[\d.,]*\d|(?<!\w)-?\d", text)) == {"-1", "1", "3"}
