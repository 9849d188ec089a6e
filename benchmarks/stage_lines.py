"""Reads the line that each stage prints when it is done: what it worked on, its wall time and its peak memory."""

import re
from dataclasses import dataclass

_LINE = re.compile(r"^(\w+) (\w+)\b.*: ([\d.]+) s, peak memory ([\d.]+) GB$", re.MULTILINE)


@dataclass(frozen=True)
class StageLine:
    """One run of a stage.

    Attributes:
        stage: such as "fetch".
        subject: the member's name, or the collection's.
        seconds: wall time.
        peak: memory of the largest process, GB.
    """

    stage: str
    subject: str
    seconds: float
    peak: float


def read_stage_lines(log: str) -> list[StageLine]:
    """Returns the runs of all stages in a log of make."""
    return [StageLine(stage, subject, float(time), float(peak)) for stage, subject, time, peak in _LINE.findall(log)]
