"""The files that a validation leaves, and the new validations that those of earlier ones rule out."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.base.files import sha256_of
from pipeline.base.verdict import Verdict
from pipeline.facts.report import load_report


@dataclass(frozen=True)
class ResultFiles:
    """The files that validate writes: a report, and others beside it.

    Attributes:
        report: report.json of the last run that passed, or that of the last run that failed a gate.
    """

    report: Path

    @property
    def is_failed(self) -> bool:
        """Whether these are the files of a failed run."""
        return self.report.suffix == ".failed"

    @property
    def failed(self) -> "ResultFiles":
        """The files of a run that failed a gate."""
        return ResultFiles(self.report.with_name(f"{self.report.name}.failed"))

    @property
    def predictions(self) -> Path:
        """The predictions for the images of the report."""
        return self.report.with_name("predictions.npz" + (".failed" if self.is_failed else ""))

    @property
    def plots(self) -> Path:
        """The folder of plots; a failed run has none."""
        return self.report.with_name("plots")

    @property
    def examples(self) -> Path:
        """The folder of the pictures of example predictions; a failed run has none."""
        return self.report.with_name("examples")

    @property
    def shards(self) -> Path:
        """The folder of a run that has not finished classifying."""
        return self.report.with_name(f"{self.report.name}.shards")


def refuse_to_forget(files: ResultFiles, checkpoint: Path) -> None:
    """Refuses to validate without images a checkpoint whose accuracy an earlier run measured, passed or failed.

    Raises:
        Fault: names the earlier figure, and what to do.
    """
    for path in (files.failed.report, files.report):
        if not path.is_file():
            continue
        report = load_report(path)
        measured = report.accuracy.measured
        if measured and report.checkpoint.sha256 == sha256_of(checkpoint):
            raise Fault(
                f"{path}: this checkpoint's top-1 accuracy was measured before, {measured.top1:.4f} on"
                f" {measured.images} images ({report.accuracy.verdict}), and would be lost without images; set"
                ' IMAGENET= again, or delete that file to publish a card that says "not measured"'
            )


def refuse_fewer(files: ResultFiles, checkpoint: Path, images: int) -> None:
    """Refuses to measure again on fewer images a checkpoint whose accuracy failed: it might pass by luck.

    Args:
        files: of earlier runs.
        checkpoint: the file.
        images: how many images this run uses.

    Raises:
        Fault: names the earlier figure, and what to do.
    """
    path = files.failed.report
    if not path.is_file():
        return
    report = load_report(path)
    measured = report.accuracy.measured
    if measured is None or report.accuracy.verdict is not Verdict.FAIL or measured.images <= images:
        return
    if report.checkpoint.sha256 == sha256_of(checkpoint):
        raise Fault(
            f"{path}: this checkpoint failed with a top-1 accuracy of {measured.top1:.4f} on {measured.images} images,"
            f" which {images} cannot outweigh; use at least as many (SAMPLES=), or delete that file"
        )
