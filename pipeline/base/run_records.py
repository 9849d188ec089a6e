"""Records of the runs of stages: a small file for each member and stage, which make summary reads.

make tells a command where its record goes by the variable RUN_RECORD; without it nothing is recorded. The record is
written when the command begins and again when it ends, so that one which was killed is seen as not ended.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.base.files import write_memory
from pipeline.base.json_files import recall_json

VARIABLE = "RUN_RECORD"
_LONGEST = 4000  # characters of a sentence: a fault may have a list


class Outcome(StrEnum):
    """How a run ended; RUNNING stands for one that was killed, too, STOPPED for one that Ctrl-C ended."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True)
class RunRecord:
    """The last run of a stage.

    Attributes:
        stage: its name, the first word of the lines that it prints.
        outcome: how it ended.
        started: when, in seconds since 1970.
        seconds: how long it took.
        peak_memory: of its largest process, in bytes.
        sentence: what it printed when it failed or was stopped.
        core_seconds: processor time of its processes.

    One whose peak memory is 0 was not measured: it has not ended, or ended without a word of its own.
    """

    stage: str
    outcome: Outcome
    started: float
    seconds: float = 0.0
    peak_memory: int = 0
    sentence: str = ""
    core_seconds: float = 0.0


class Recorder:
    """Records the run of the command that this process is."""

    def __init__(self, stage: str, peak_memory: Callable[[], int]) -> None:
        """Begins the record where VARIABLE says; processes that this one starts are not told.

        Args:
            stage: the stage's name.
            peak_memory: returns the bytes so far.
        """
        place = os.environ.pop(VARIABLE, "")
        self._path = Path(place) if place else None
        self._stage, self._peak_memory = stage, peak_memory
        self._started, self._clock = time.time(), time.monotonic()
        self._write(RunRecord(stage, Outcome.RUNNING, self._started))

    def end(self, outcome: Outcome, sentence: str = "") -> None:
        """Writes how the run ended."""
        seconds = time.monotonic() - self._clock
        peak, sentence = self._peak_memory(), sentence[:_LONGEST]
        self._write(RunRecord(self._stage, outcome, self._started, seconds, peak, sentence, _core_seconds()))

    def _write(self, record: RunRecord) -> None:
        if self._path is not None:
            _write(self._path, record)


def _write(path: Path, record: RunRecord) -> None:
    """Writes a record; a disk that takes none is no fault of the stage, which needs none."""
    try:
        write_memory(path, json.dumps(asdict(record)))
    except OSError as error:
        print(f"{record.stage}: {path}: this run is not recorded: {error.strerror}", file=sys.stderr)


def record_refusal(path: Path, stage: str, since: float, sentence: str) -> None:
    """Records a run that failed without a word of its own: it did not begin, or the machine that it ran on was lost.

    Args:
        path: where the record of the stage's command goes.
        stage: the stage's name.
        since: when the command was to run, in seconds since 1970.
        sentence: why it failed.
    """
    _write(path, RunRecord(stage, Outcome.FAILED, since, time.time() - since, sentence=sentence[:_LONGEST]))


def _core_seconds() -> float:
    """Returns the processor time of this process and of those that it started, as far as they have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def read_record(path: Path) -> RunRecord | None:
    """Returns a record; None for one that is missing or damaged."""
    return recall_json(path, RunRecord)
