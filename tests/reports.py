"""Reports for tests: the demo's, and changes of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.base.heads import Head
from pipeline.base.verdict import Verdict
from pipeline.base.verification import Verification
from pipeline.facts.accuracy import Reported
from pipeline.facts.report import Report, load_report, report_text

ROOT = Path(__file__).parents[1]
REPORT = load_report(ROOT / "tests/data/report.json")  # as validate wrote it; the accuracy was measured
QUOTED = Reported(0.80462, "the paper")


def with_model(report: Report, **changes: Any) -> Report:
    """Returns the report of another model."""
    return replace(report, model=replace(report.model, **changes))


def with_checks(report: Report, head: Head, **changes: Any) -> Report:
    """Returns the report with changes of one module's part."""
    return replace(report, modules=report.modules | {head: replace(report.modules[head], **changes)})


def with_weights(report: Report, verification: Verification) -> Report:
    """Returns the report of weights that were verified in another way."""
    return replace(report, checkpoint=replace(report.checkpoint, verification=verification))


def with_accuracy(report: Report, **changes: Any) -> Report:
    """Returns the report with changes of what the accuracy says beside the measured figures."""
    return replace(report, accuracy=replace(report.accuracy, **changes))


def with_measured(report: Report, **changes: Any) -> Report:
    """Returns the report with changes of the measured figures."""
    assert report.accuracy.measured
    return with_accuracy(report, measured=replace(report.accuracy.measured, **changes))


def not_measured(report: Report, reason: str = "no images", reported: Reported | None = None) -> Report:
    """Returns the report as it would be without labelled images."""
    return with_accuracy(report, verdict=Verdict.NOT_MEASURED, reason=reason, reported=reported, measured=None)


# A PNG of one grey pixel, which is no text; what follows its end, programs ignore.
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c6368000000820081dd436af4"
    "0000000049454e44ae426082"
)


def write_report(path: Path, report: Report) -> None:
    """Writes a report.json as validate does, and a picture for each example prediction."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report_text(report))
    measured = report.accuracy.measured
    for example in measured.examples if measured else ():
        picture = path.with_name("examples") / example.file
        picture.parent.mkdir(exist_ok=True)
        picture.write_bytes(PICTURE + example.file.encode())
