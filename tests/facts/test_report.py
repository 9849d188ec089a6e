"""report: strict reading of report.json, which names the key that is wrong, and of its earlier schema."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.verdict import Verdict
from pipeline.base.verification import Verification
from pipeline.facts.checks import BlockTrace
from pipeline.facts.report import SCHEMA, Report, load_report, parse_report, report_text
from tests.reports import with_measured, with_weights

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def content() -> dict[str, Any]:
    """The sample report as JSON's values, to be changed."""
    values: dict[str, Any] = json.loads((DATA / "report.json").read_text())
    return values


def test_the_sample_is_written_as_validate_writes_it() -> None:
    path = DATA / "report.json"
    assert path.read_text() == report_text(load_report(path))


def refused(content: Any) -> str:
    with pytest.raises(Fault) as raised:
        parse_report(content, "a/report.json")
    assert str(raised.value).startswith("a/report.json: ")
    return str(raised.value)


def test_a_report_comes_back_as_it_was_written(content: dict[str, Any]) -> None:
    report = parse_report(content, "report.json")
    assert report.schema == SCHEMA
    assert json.loads(report_text(report)) == content
    assert set(report.modules) == {Head.CLASSIFICATION, Head.FE}
    assert report.modules[Head.FE].parity.verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["modules"]["fe"]["parity"].pop("max_rel"), "modules.fe.parity.max_rel is missing"),
        (lambda c: c["modules"].pop("fe"), "modules.fe is missing"),
        (lambda c: c["modules"]["fe"].update(speed=1), "modules.fe.speed is an unknown key"),
        (lambda c: c.update(flops=1), "flops is an unknown key"),
        (lambda c: c["model"].update(classes="10"), "model.classes: input should be a valid integer, got '10'"),
        (lambda c: c["features"].update(verdict="passed"), "features.verdict: input should be 'pass', 'fail' or"),
        (lambda c: c["modules"].update(logits=c["modules"].pop("fe")), "modules.logits: input should be"),
        (lambda c: c["accuracy"].update(measured=[]), "accuracy.measured: "),
        (lambda c: c.update(schema=SCHEMA + 1), f"expected a report of schema 1 to {SCHEMA}, got {SCHEMA + 1}"),
        (lambda c: c.update(schema="2"), f"expected a report of schema 1 to {SCHEMA}, got '2'"),
    ],
)
def test_what_is_wrong_is_named_by_its_key(
    content: dict[str, Any], change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    change(content)
    assert message in refused(content)
    assert "delete it and run make validate" in refused(content)


@pytest.mark.parametrize("content", [None, [], "report", {}, {"schema": 1, "accuracy": None}, {"accuracy": []}])
def test_other_json_is_no_report(content: Any) -> None:
    refused(content)


@pytest.mark.parametrize("text", ["", "{", '{"a": 1', "\udcff", "[" * 100_000, "9" * 5000])
def test_a_file_that_is_no_json(tmp_path: Path, text: str) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(Fault, match=r"not valid JSON|not UTF-8|nested too deeply"):
        load_report(path)


def test_a_missing_file_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"report\.json: no report; run make validate first"):
        load_report(tmp_path / "report.json")


def test_values_that_are_no_numbers_survive(content: dict[str, Any]) -> None:
    content["modules"]["fe"]["parity"]["max_rel"] = math.nan
    report = parse_report(json.loads(json.dumps(content)), "report.json")
    assert math.isnan(report.modules[Head.FE].parity.max_rel)
    assert math.isnan(json.loads(report_text(report))["modules"]["fe"]["parity"]["max_rel"])


# A report of schema 1, as the last release before schema 2 wrote it for the same member -------------------------------
@pytest.fixture
def earlier() -> dict[str, Any]:
    values: dict[str, Any] = json.loads((DATA / "report_schema_1.json").read_text())
    return values


def reworded(report: Report) -> Report:
    """Returns a report without its sentences for people, and without what is newer than schema 1 or its modules."""
    assert report.accuracy.measured
    order = replace(report.accuracy.measured.label_order, reason="")
    accuracy = replace(report.accuracy, reason="", measured=replace(report.accuracy.measured, label_order=order))
    newer = ("session", "c_api", "encoded", "tokens", "classes", "token_shape")
    without: Any = dict.fromkeys(newer)
    modules = {}
    for head, module in report.modules.items():
        needs = replace(module.needs, signatures=())  # the files have more ways to be called
        selftest = replace(module.selftest, max_rel={}, tokens_tolerance=None)
        modules[head] = replace(module, content_sha256="", bytes=0, needs=needs, selftest=selftest, **without)
    rungs = tuple(rung for rung in report.ladder if rung.rung not in (*newer, "selftest"))
    model = replace(report.model, operations=None)
    older = replace(report, model=model, accuracy=accuracy, modules=modules, ladder=rungs, plots=())
    return with_weights(older, Verification.UNVERIFIED)


def without_figures(value: Any) -> Any:
    """Returns plain values with one number in place of all fractions, which each run measures again."""
    if isinstance(value, dict):
        return {key: without_figures(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_figures(each) for each in value]
    return 0.5 if isinstance(value, float) else value


def test_the_earlier_schema_says_the_same() -> None:
    earlier, today = load_report(DATA / "report_schema_1.json"), load_report(DATA / "report.json")
    assert earlier.schema == SCHEMA
    today = replace(with_measured(today, split=None, per_class=(), examples=()), plots=earlier.plots)  # what is new
    older, newer = reworded(earlier), reworded(today)
    assert without_figures(asdict(older)) == without_figures(asdict(newer))


@pytest.mark.parametrize(
    ("source", "expected"),
    [("gs://vit_models/augreg/S_16.npz", Verification.DOWNLOADED), ("S_16.npz", Verification.UNVERIFIED)],
)
@pytest.mark.parametrize("schema", [1, 2])
def test_an_earlier_report_is_of_verified_weights_if_they_were_downloaded(
    schema: int, source: str, expected: Verification
) -> None:
    content = json.loads((DATA / ("report_schema_1.json" if schema == 1 else "report.json")).read_text())
    content["checkpoint"].pop("verification", None)
    content["checkpoint"]["source"] = source
    content["accuracy"]["reported"] = {"top1": 0.8, "source": "a table"}
    if schema == 2:
        content["model"] = {"variant": "S/16", "image_size": 224, "classes": 10, "hybrid": False}
    report = parse_report(content | {"schema": schema} if schema == 2 else content, "report.json")
    assert report.checkpoint.verification is expected
    assert (report.quoted is not None) is expected.is_verified


def test_a_report_without_accuracies_of_classes_is_read(content: dict[str, Any]) -> None:
    """Those of schema 4 have neither them nor example predictions."""
    for name in ("per_class", "examples"):
        del content["accuracy"]["measured"][name]
    report = parse_report(content | {"schema": 4}, "report.json")
    assert report.accuracy.measured
    assert (report.schema, report.accuracy.measured.per_class, report.accuracy.measured.examples) == (SCHEMA, (), ())


def test_the_earlier_schema_without_images_is_read(earlier: dict[str, Any]) -> None:
    gate = ("dataset", "expected_dataset", "minimum_top1", "reported")
    earlier["accuracy"] = {key: earlier["accuracy"][key] for key in gate}
    earlier["accuracy"] |= {"verdict": "not measured", "reason": "no images"}
    report = parse_report(earlier, "report.json")
    assert (report.accuracy.measured, report.accuracy.reason) == (None, "no images")
    assert report.accuracy.sample == ""


def test_the_earlier_schema_of_a_failed_run_is_read(earlier: dict[str, Any]) -> None:
    """It had no keys for what was not reached, nor a trace of blocks that could not be compared."""
    for module in earlier["modules"].values():
        del module["gradients"], module["fine_tuning"]
        module["blocks"] = {"reason": "its blocks are unknown"}
    report = parse_report(earlier, "report.json")
    assert report.modules[Head.FE].gradients is None
    assert report.modules[Head.FE].blocks == BlockTrace(reason="its blocks are unknown")
