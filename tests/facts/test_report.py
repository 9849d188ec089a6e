"""report: strict reading of report.json, with the key of what is wrong, and of its earlier schema."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.verdict import Verdict
from pipeline.facts.report import SCHEMA, Report, load_report, parse_report, report_text

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def content() -> dict[str, Any]:
    """A report of today's schema, as JSON's values."""
    values: dict[str, Any] = json.loads(report_text(load_report(DATA / "report.json")))
    return values


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


@pytest.mark.parametrize("text", ["", "{", '{"a": 1', "\udcff"])
def test_a_file_that_is_no_json(tmp_path: Path, text: str) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(Fault, match="not valid JSON"):
        load_report(path)


def test_a_missing_file_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"report\.json: no report; run make validate first"):
        load_report(tmp_path / "report.json")


def test_values_that_are_no_numbers_survive(content: dict[str, Any]) -> None:
    content["modules"]["fe"]["parity"]["max_rel"] = math.nan
    report = parse_report(json.loads(json.dumps(content)), "report.json")
    assert math.isnan(report.modules[Head.FE].parity.max_rel)
    assert math.isnan(json.loads(report_text(report))["modules"]["fe"]["parity"]["max_rel"])


def schema_1(report: Report) -> dict[str, Any]:
    """Returns a report as the releases before schema 2 wrote it."""
    content: dict[str, Any] = json.loads(report_text(report))
    accuracy = content["accuracy"]
    content["accuracy"] = {key: value for key, value in accuracy.items() if key != "measured"}
    content["accuracy"] |= accuracy["measured"] or {}
    content["ladder"] = [rung | {"head": rung["head"] or ""} for rung in content["ladder"]]
    del content["schema"]
    return content


def test_the_earlier_schema_is_read(content: dict[str, Any]) -> None:
    report = parse_report(content, "report.json")
    assert report.accuracy.measured is not None
    assert parse_report(schema_1(report), "report.json") == report


def test_the_earlier_schema_without_images_is_read(content: dict[str, Any]) -> None:
    content["accuracy"] |= {"measured": None, "verdict": "not measured", "reason": "no images"}
    report = parse_report(content, "report.json")
    assert parse_report(schema_1(report), "report.json") == report
    assert report.accuracy.sample == ""
