"""Prints the rungs of the ladder while they are climbed: a line for each, with its seconds, verdict and figure."""

import time
from collections.abc import Callable
from typing import TypeVar

from pipeline.base.heads import Head
from pipeline.base.status import Status
from pipeline.base.verdict import Verdict
from pipeline.facts.checks import BlockTrace, TrainingChecks
from pipeline.proof import ladder
from pipeline.proof.ladder import Result

Check = TypeVar("Check")
_MARKS = {Verdict.PASS: "pass", Verdict.FAIL: "FAIL", Verdict.NOT_MEASURED: "-"}


class Checklist(Status):
    """The rungs of one member.

    The seconds of a line are those since the line before it, so that all add up to the whole time, but for those of
    gradients and fine-tuning: a process of their own compares these, mostly beside the others.
    """

    def __init__(self, label: str, has_images: bool = False) -> None:
        """Shows nothing yet.

        Args:
            label: the first words of each line, such as "validate vit_demo".
            has_images: whether the accuracy will be measured.
        """
        super().__init__(label, len(Head) * ladder.MOST + 3 + has_images)
        self._before = time.monotonic()

    def climb(self, head: Head, rung: str, measure: Callable[[], Check], trace: BlockTrace | None = None) -> Check:
        """Runs a check of a module and prints its line; returns the check.

        Args:
            head: the module.
            rung: one of ladder.RUNGS.
            measure: the check.
            trace: where a difference begins, for the rung parity.
        """
        self.begin(f"{head} {rung}")
        check = measure()
        self.show(f"{head} {rung}", ladder.judge(rung, check, trace))
        return check

    def show_training(self, head: Head, checks: TrainingChecks) -> None:
        """Prints the lines of the rungs that a process of their own climbed, with their seconds there."""
        for rung, check in (("gradients", checks.gradients), ("fine_tuning", checks.fine_tuning)):
            self.show(f"{head} {rung}", ladder.judge(rung, check), checks.seconds[rung])

    def show(self, rung: str, result: Result, seconds: float | None = None) -> None:
        """Prints the line of a rung: its seconds, verdict and figure, or why it failed or was not measured."""
        text = result.figure if result.verdict is Verdict.PASS else result.reason
        if result.verdict is Verdict.NOT_MEASURED:
            text = f"not measured: {text}"
        mark = _MARKS[result.verdict] if result.gate or result.verdict is not Verdict.FAIL else "warn"
        self.show_step(rung, text, mark, seconds)

    def show_step(self, name: str, text: str, mark: str = "", seconds: float | None = None) -> None:
        """Prints the line of a step that is no rung."""
        now = time.monotonic()
        seconds = now - self._before if seconds is None else seconds
        self._before = now
        self.print(f"{seconds:6.1f} s  {mark:<4}  {name:<28}  {text}")
