"""result_files: what earlier validations of the same checkpoint rule out."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.accuracy.result_files import ResultFiles, refuse_fewer, refuse_to_forget
from pipeline.base.fault import Fault
from pipeline.base.files import sha256_of
from pipeline.base.verdict import Verdict
from pipeline.facts.report import Report
from tests.reports import not_measured, with_accuracy, write_report


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def files(tmp_path: Path) -> ResultFiles:
    return ResultFiles(tmp_path / "report.json")


@pytest.fixture
def measured(report: Report, checkpoint: Path) -> Report:
    """The report of the checkpoint: top-1 accuracy 0.919 on 1,000 images."""
    return replace(report, checkpoint=replace(report.checkpoint, sha256=sha256_of(checkpoint)))


def test_a_failed_run_has_files_of_its_own(tmp_path: Path, files: ResultFiles) -> None:
    assert files.predictions == tmp_path / "predictions.npz"
    assert files.failed.report == tmp_path / "report.json.failed"
    assert files.failed.predictions == tmp_path / "predictions.npz.failed"
    assert (files.is_failed, files.failed.is_failed) == (False, True)


def test_a_measured_accuracy_is_not_lost(files: ResultFiles, checkpoint: Path, measured: Report) -> None:
    refuse_to_forget(files, checkpoint)
    write_report(files.report, not_measured(measured))
    refuse_to_forget(files, checkpoint)
    write_report(files.failed.report, with_accuracy(measured, verdict=Verdict.FAIL))
    with pytest.raises(Fault, match=r"report\.json\.failed: .* 0\.9190 on 1000 images \(fail\), and would be lost"):
        refuse_to_forget(files, checkpoint)
    checkpoint.write_bytes(b"other weights")
    refuse_to_forget(files, checkpoint)


def test_a_failed_accuracy_is_not_outweighed_by_fewer_images(
    files: ResultFiles, checkpoint: Path, measured: Report
) -> None:
    write_report(files.report, measured)
    refuse_fewer(files, checkpoint, 10)
    write_report(files.failed.report, with_accuracy(measured, verdict=Verdict.FAIL))
    refuse_fewer(files, checkpoint, 1000)
    with pytest.raises(Fault, match=r"report\.json\.failed: .* 0\.9190 on 1000 images, which 999 cannot outweigh"):
        refuse_fewer(files, checkpoint, 999)
    checkpoint.write_bytes(b"other weights")
    refuse_fewer(files, checkpoint, 999)


def test_a_damaged_earlier_report_is_refused(tmp_path: Path) -> None:
    """It may hold a measured accuracy, which would be lost."""
    (tmp_path / "report.json").write_text('{"accuracy": ')
    with pytest.raises(Fault, match=r"report\.json:1: not valid JSON .*; delete it and run make validate"):
        refuse_to_forget(ResultFiles(tmp_path / "report.json"), tmp_path / "checkpoint.npz")
