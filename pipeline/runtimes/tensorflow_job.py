"""Writes the files of modules and runs their twins in TensorFlow, which is imported once, in a process of its own.

    python -m pipeline.runtimes.tensorflow_job PLAN

PLAN is the JSON of a Plan. The modules are written and run at the same time, each by a copy of the process; of large
ones each step runs alone. After that the speed of their twins is measured, one after another.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pipeline.base.fault import Fault
from pipeline.base.jobs import run_job, start_copy, start_job
from pipeline.base.strict_json import STRICT, parse_json
from pipeline.facts.formats import FormatName
from pipeline.forms.facts import Facts
from pipeline.forms.precision import Precision
from pipeline.forms.running import Run
from pipeline.proof.loaders import read_selftest
from pipeline.runtimes.modules import example_images
from pipeline.runtimes.table import FORMATS, Format, Runtime
from pipeline.runtimes.tensorflow_runs import TensorFlowRuns, TwinRun, measure_speed, run_modules
from pipeline.saved_model.load import import_tensorflow, start_tensorflow
from pipeline.translate.bfloat16 import write_bfloat16

_MODULE = "pipeline.runtimes.tensorflow_job"
_PLAIN = FORMATS[FormatName.PLAIN].path
# Bytes of weights of all modules that are written and run at the same time, which takes about ten times as many.
_TOGETHER = 1_000_000_000


@dataclass(frozen=True)
class Task:
    """A module, and where its files go.

    Attributes:
        module: its SavedModel.
        facts: what its files say of it.
        folder: of all its formats; it exists and is empty.
        notes: a folder for what is measured.
        formats: which to write.
    """

    module: str
    facts: Facts
    folder: str
    notes: str
    formats: tuple[FormatName, ...]

    def of(self, runtime: Runtime) -> tuple[Format, ...]:
        """Its formats of one runtime."""
        return tuple(FORMATS[name] for name in self.formats if FORMATS[name].runtime is runtime)


@dataclass(frozen=True)
class Plan:
    """What the job does.

    Attributes:
        tasks: the modules.
        images: an .npy file, float32 (n, size, size, 3) in [-1, 1]; None where there are none.
        is_parallel: whether the modules are written and run at the same time.
    """

    tasks: tuple[Task, ...]
    images: str | None
    is_parallel: bool

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a task.

    Attributes:
        refused: why formats cannot be made, a clause for each.
        runs: what TensorFlow computed.
        speeds: of the twins.
    """

    refused: dict[FormatName, str]
    runs: TensorFlowRuns
    speeds: Mapping[FormatName, Run] = field(default_factory=dict)


def write_and_run(tasks: Sequence[Task], images: Path | None) -> list[Outcome]:
    """Writes the files of modules, and runs their twins; float32 files of each runtime in any case.

    Raises:
        Fault: when a module is damaged, TensorFlow cannot load one, or a process is killed.
    """
    is_small = sum(_weights_size(Path(task.module)) for task in tasks) <= _TOGETHER
    plan = Plan(tuple(tasks), str(images) if images else None, is_small)
    path = Path(tasks[0].notes, "plan.json")
    path.write_text(json.dumps(asdict(plan)), encoding="utf-8")
    with start_job(_MODULE, [path], "the translation of the modules") as job:
        job.wait()
    return [_read_outcome(Path(task.notes)) for task in tasks]


def _weights_size(module: Path) -> int:
    """Returns the bytes of a SavedModel's variables."""
    return sum(file.stat().st_size for file in module.glob("variables/variables.data-*"))


# In the job -----------------------------------------------------------------------------------------------------------
def _write(task: Task) -> None:
    """Writes the files of a module, and notes which formats it cannot have."""
    start_tensorflow()
    module, folder = Path(task.module), Path(task.folder)
    refused: dict[FormatName, str] = {}

    def attempt(formats: Sequence[Format], write: Callable[[], object]) -> None:
        try:
            write()
        except Fault as fault:
            refused.update(dict.fromkeys((each.name for each in formats), _without_places(str(fault), task)))

    plain, litert, onnx = task.of(Runtime.TENSORFLOW), task.of(Runtime.LITERT), task.of(Runtime.ONNX)
    twins = [each for each in plain if each.name is FormatName.BFLOAT16]
    if plain or litert:
        attempt([*(each for each in plain if each not in twins), *litert], lambda: _write_plain(module, folder))
    for each in twins:
        attempt([each], partial(write_bfloat16, module, folder / each.path))
    if litert and not refused.keys() & {each.name for each in litert}:
        attempt(litert, lambda: _write_litert(task.facts, folder, _precisions(litert)))
    if onnx:
        attempt(onnx, lambda: _write_onnx(module, task.facts, folder, _precisions(onnx)))
    Path(task.notes, "refused.json").write_text(json.dumps(refused), encoding="utf-8")


def _without_places(reason: str, task: Task) -> str:
    """Returns a fault as a clause for others, who have not these folders."""
    for place in (task.module, task.folder):
        reason = re.sub(rf"{re.escape(place)}(/[\w./-]*)?(: )?", "", reason)
    return reason


def _precisions(formats: Sequence[Format]) -> tuple[Precision, ...]:
    """Returns the precisions to write: float32 too, with which the others are compared."""
    return tuple(dict.fromkeys((Precision.FLOAT32, *(each.precision for each in formats))))


def _write_plain(module: Path, folder: Path) -> None:
    from pipeline.translate.saved_models import write_plain

    write_plain(module, folder / _PLAIN)


def _write_litert(facts: Facts, folder: Path, precisions: Sequence[Precision]) -> None:
    from pipeline.litert.converting import convert_to
    from pipeline.litert.files import write_files

    converted = folder / ".converted"
    converted.mkdir()
    for precision in precisions:
        (converted / precision).write_bytes(convert_to(folder / _PLAIN, precision))
    write_files(converted, folder, facts, precisions)
    for precision in precisions:
        (converted / precision).unlink()
    converted.rmdir()


def _write_onnx(module: Path, facts: Facts, folder: Path, precisions: Sequence[Precision]) -> None:
    from pipeline.onnx_form.files import write_files

    write_files(module, folder / ".onnx", facts, precisions)
    for path in (folder / ".onnx").iterdir():
        path.rename(folder / path.name)
    (folder / ".onnx").rmdir()


def _twins_of(task: Task) -> dict[FormatName, Path]:
    """Returns the folders of the twins that are wanted and could be written."""
    twins = {each.name: Path(task.folder, each.path) for each in task.of(Runtime.TENSORFLOW)}
    return {name: twin for name, twin in twins.items() if twin.exists()}


def _run(task: Task, images: np.ndarray | None) -> None:
    start_tensorflow()
    runs, notes = run_modules(Path(task.module), _twins_of(task), images), Path(task.notes)
    if runs.outputs is not None:
        np.save(notes / "module.npy", runs.outputs, allow_pickle=False)
    for name, outputs in runs.twin_outputs.items():
        np.save(notes / f"{name}.npy", outputs, allow_pickle=False)
    for name, twin in runs.twins.items():
        (notes / f"{name}.json").write_text(json.dumps(asdict(twin)), encoding="utf-8")


def _measure(task: Task, images: np.ndarray | None) -> None:
    start_tensorflow()
    for name, twin in _twins_of(task).items():
        run = measure_speed(twin, example_images(read_selftest(Path(task.module))) if images is None else images)
        figures = [list(run.rates.items()), run.load_seconds, run.first_seconds, run.version]
        Path(task.notes, f"{name}.speed.json").write_text(json.dumps(figures), encoding="utf-8")


def _read_outcome(notes: Path) -> Outcome:
    named = json.loads((notes / "refused.json").read_text(encoding="utf-8"))
    refused = {FormatName(name): reason for name, reason in named.items()}
    outputs = np.load(notes / "module.npy") if (notes / "module.npy").exists() else None
    names = [name for name in FormatName if (notes / f"{name}.json").exists()]
    twins = {name: parse_json(TwinRun, (notes / f"{name}.json").read_text(encoding="utf-8")) for name in names}
    twin_outputs = {name: np.load(notes / f"{name}.npy") for name in names if (notes / f"{name}.npy").exists()}
    speeds = {name: _read_speed(notes / f"{name}.speed.json") for name in names}
    return Outcome(refused, TensorFlowRuns(outputs, twins, twin_outputs), speeds)


def _read_speed(path: Path) -> Run:
    rates, load, first, version = json.loads(path.read_text(encoding="utf-8"))
    return Run({}, dict(rates), load, first, version)


def _run_alone(work: Callable[[], None]) -> None:
    """Runs a part of the job in a copy of the process, which then gives its memory back."""
    with start_copy(_MODULE, work):
        pass


def _main(arguments: Sequence[str]) -> None:
    plan = parse_json(Plan, Path(arguments[0]).read_text(encoding="utf-8"))
    import_tensorflow()
    images = np.load(plan.images, mmap_mode="r") if plan.images else None

    def write_and_prove(task: Task) -> None:
        _write(task)
        _run(task, images)

    if plan.is_parallel:
        with ExitStack() as copies:
            for task in plan.tasks:
                copies.enter_context(start_copy(_MODULE, partial(write_and_prove, task)))
    else:
        for task in plan.tasks:
            _run_alone(partial(_write, task))
            _run_alone(partial(_run, task, images))
    for task in plan.tasks:
        _run_alone(partial(_measure, task, images))


if __name__ == "__main__":
    run_job(_MODULE, _main)
