"""Makes the formats of modules, and proves each in its own runtime."""

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.base.fault import Fault
from pipeline.base.files import sha256_of
from pipeline.base.heads import Head
from pipeline.facts.formats import FormatFile, FormatName, FormatReport, Speed
from pipeline.facts.report import Rung
from pipeline.forms.precision import Precision
from pipeline.forms.quality import BARS, EXACT, Bar
from pipeline.forms.running import Order, Run, Runner, run_orders
from pipeline.litert import running as litert
from pipeline.onnx_form import running as onnx
from pipeline.runtimes.judging import Images, compare_on_images, failures, judge_file, judge_quality, judge_twin
from pipeline.runtimes.modules import BATCHES, Module, example_images
from pipeline.runtimes.table import FORMATS, Format, Runtime
from pipeline.runtimes.tensorflow_job import Outcome, Task, write_and_run
from pipeline.runtimes.tensorflow_runs import BATCH
from pipeline.saved_model.packing import pack

THREADS = 2
_RUNNERS: Mapping[Runtime, Runner] = {Runtime.LITERT: litert.RUNNER, Runtime.ONNX: onnx.RUNNER}


@dataclass(frozen=True, eq=False)
class Subject:
    """A module whose formats are made.

    Attributes:
        module: the module.
        formats: which to make.
        folder: of all of them; an empty one, which keeps those that were made.
    """

    module: Module
    formats: tuple[Format, ...]
    folder: Path

    @property
    def head(self) -> Head:
        return self.module.facts.head

    def files(self, runtime: Runtime, refused: Mapping[FormatName, str]) -> tuple[Format, ...]:
        """Its formats of a runtime that could be made."""
        return tuple(each for each in self.formats if each.runtime is runtime and each.name not in refused)


@dataclass(frozen=True)
class How:
    """How formats are made.

    Attributes:
        required: whether one that cannot be made, or fails a check, is a fault; else it is left out.
        packed: whether SavedModels become a .tar.gz.
        bars: what quantized files must keep.
        begin: is told what is being done, in words.
        done: is told of each format that is proven or left out.
    """

    required: bool
    packed: bool
    bars: Mapping[Precision, Bar] = field(default_factory=lambda: BARS)
    begin: Callable[[str], None] = lambda activity: None
    done: Callable[[Head, FormatReport], None] = lambda head, report: None


_File = tuple[Path, Format]  # the folder of a subject, and one of its formats
_Run = Callable[[Sequence[Order]], list[Run]]  # runs files of one runtime


@dataclass(frozen=True, eq=False)
class _Runs:
    """A file's runs: of the examples in batches of BATCHES, and of the images, or the examples again, for its speed."""

    examples: Run
    whole: Run


def make_formats(subjects: Sequence[Subject], images: Images | None, how: How) -> list[tuple[FormatReport, ...]]:
    """Writes the formats of modules into their folders, and proves each in its runtime, in processes of their own.

    Args:
        subjects: the modules.
        images: to compare each format with its module on; None where there are none.
        how: see How.

    Returns:
        What was measured of the formats of each subject.

    Raises:
        Fault: when a module is damaged, or a format that is required cannot be made or fails a check.
    """
    how.begin("translating, and running the module and its plain twin")
    runs: dict[_File, _Runs | str] = {}
    # In a folder that the next run removes, should this one be killed: images take up to 600 MB.
    with tempfile.TemporaryDirectory(prefix=".scratch-", dir=subjects[0].folder) as scratch:
        outcomes = write_and_run([_task(subject, scratch) for subject in subjects], _save(images, scratch))
        for runtime, runner in _RUNNERS.items():
            how.begin(f"running the files in {runtime}")
            wanted = [each.files(runtime, outcome.refused) for each, outcome in _pairs(subjects, outcomes)]
            run = partial(run_orders, runner, threads=THREADS, scratch=Path(scratch))
            runs |= _run_files(run, _order_files(subjects, wanted, images), how)
    reports = []
    for subject, outcome in _pairs(subjects, outcomes):
        made = [
            _report(subject, wanted, outcome, runs.get((subject.folder, wanted)), images, how)
            for wanted in subject.formats
        ]
        _keep_only(subject.folder, made)
        reports.append(tuple(made))
    return reports


def _pairs(subjects: Sequence[Subject], outcomes: Sequence[Outcome]) -> list[tuple[Subject, Outcome]]:
    return list(zip(subjects, outcomes, strict=True))


def _task(subject: Subject, temporary: str) -> Task:
    notes = Path(tempfile.mkdtemp(dir=temporary))
    names = tuple(each.name for each in subject.formats)
    return Task(str(subject.module.folder), subject.module.facts, str(subject.folder), str(notes), names)


def _save(images: Images | None, temporary: str) -> Path | None:
    if images is None:
        return None
    path = Path(temporary, "images.npy")
    np.save(path, images.pixels, allow_pickle=False)
    return path


def _order_files(
    subjects: Sequence[Subject], wanted: Sequence[tuple[Format, ...]], images: Images | None
) -> dict[_File, tuple[Order, Order]]:
    orders: dict[_File, tuple[Order, Order]] = {}
    for subject, formats in zip(subjects, wanted, strict=True):
        examples = example_images(subject.module.test)
        for each in formats:
            file = subject.folder / each.path
            whole = Order(file, examples if images is None else images.pixels, (BATCH,), (1, BATCH))
            orders[subject.folder, each] = (Order(file, examples, BATCHES), whole)
    return orders


def _run_files(run: _Run, orders: Mapping[_File, tuple[Order, Order]], how: How) -> dict[_File, _Runs | str]:
    """Runs the files of one runtime, of all modules in one process.

    Returns:
        The runs, or why the runtime cannot run a file that nobody asked for, a clause.
    """
    if not orders:
        return {}
    try:
        done = iter(run([order for pair in orders.values() for order in pair]))
        return {file: _Runs(next(done), next(done)) for file in orders}
    except Fault:
        if how.required:
            raise
    return {file: _run_alone(run, pair) for file, pair in orders.items()}  # one of them keeps no other from running


def _run_alone(run: _Run, orders: tuple[Order, Order]) -> _Runs | str:
    try:
        return _Runs(*run(orders))
    except Fault as fault:
        return str(fault).replace(f"{orders[0].file}: ", "")


def _report(
    subject: Subject, wanted: Format, outcome: Outcome, runs: _Runs | str | None, images: Images | None, how: How
) -> FormatReport:
    """Judges one format of a module; removes nothing."""
    reason = outcome.refused.get(wanted.name)
    if isinstance(runs, str):
        reason, runs = runs, None
    if reason:
        if how.required:
            raise Fault(f"{subject.module.folder}: {wanted.name} cannot be made: {reason}; leave it out of formats")
        return _done(subject, _left_out(wanted, (), "", reason), how)
    climbed = _climb(subject, wanted, outcome, runs)
    ladder, run, module, on_images = climbed.ladder, climbed.speed, outcome.runs.outputs, None
    if images is not None and module is not None and climbed.outputs is not None:
        on_images = compare_on_images(subject.head, climbed.outputs, module, images)
    bar = how.bars.get(wanted.precision, EXACT)
    ladder += judge_quality(subject.head, bar, _share(subject.folder, wanted), on_images)
    if failed := failures(ladder):
        reason = f"it fails its checks: {failed}"
        if how.required:
            raise Fault(f"{subject.folder / wanted.path}: {reason}; leave {wanted.name} out of formats")
        return _done(subject, _left_out(wanted, ladder, run.version, reason), how)
    speed = Speed(THREADS, run.load_seconds, run.first_seconds, {str(n): rate for n, rate in run.rates.items()})
    files = _files(subject, wanted, how.packed)
    report = FormatReport(wanted.name, wanted.precision, wanted.runtime, run.version, files, ladder, on_images, speed)
    return _done(subject, report, how)


def _done(subject: Subject, report: FormatReport, how: How) -> FormatReport:
    how.done(subject.head, report)
    return report


def _left_out(wanted: Format, ladder: tuple[Rung, ...], version: str, reason: str) -> FormatReport:
    return FormatReport(wanted.name, wanted.precision, wanted.runtime, version, (), ladder, left_out=reason)


@dataclass(frozen=True, eq=False)
class _Climbed:
    """The rungs of a format's proof, its speed, and its outputs of the images, float32 (n, k), if there are any."""

    ladder: tuple[Rung, ...]
    speed: Run
    outputs: np.ndarray | None


def _climb(subject: Subject, wanted: Format, outcome: Outcome, runs: _Runs | None) -> _Climbed:
    test = subject.module.test
    if wanted.runtime is Runtime.TENSORFLOW:
        if wanted.name not in outcome.runs.twins or wanted.name not in outcome.speeds:
            raise ValueError(f"{wanted.name} was not run")
        ladder = judge_twin(subject.head, outcome.runs.twins[wanted.name], test, wanted.precision)
        return _Climbed(ladder, outcome.speeds[wanted.name], outcome.runs.twin_outputs.get(wanted.name))
    if runs is None:
        raise ValueError(f"{wanted.name} was not run")
    ladder = judge_file(subject.head, wanted, list(runs.examples.outputs.values()), test)
    return _Climbed(ladder, runs.whole, runs.whole.outputs[BATCH])


def _share(folder: Path, wanted: Format) -> float:
    """Returns the size of a quantized file as a share of the float32 file's of the same runtime."""
    whole = next(
        each for each in FORMATS.values() if each.runtime is wanted.runtime and each.precision is Precision.FLOAT32
    )
    return _size(folder / wanted.path) / _size(folder / whole.path)


def _size(path: Path) -> int:
    """Returns the bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(each.stat().st_size for each in files)


def _files(subject: Subject, wanted: Format, packed: bool) -> tuple[FormatFile, ...]:
    """Returns the files of a format, the one to load first; packs a SavedModel."""
    path = subject.folder / wanted.path
    if not wanted.is_folder:
        return describe_files(subject.folder, [path, *(subject.folder / name for name in wanted.beside)])
    if not packed:
        return describe_files(subject.folder, sorted(each for each in path.rglob("*") if each.is_file()))
    archive = subject.folder / wanted.published
    sha256 = pack(path, archive, f"package {wanted.published}").sha256
    return (FormatFile(wanted.published, sha256, archive.stat().st_size),)


def describe_files(folder: Path, paths: Iterable[Path]) -> tuple[FormatFile, ...]:
    """Returns the path below a folder, the digest and the size of files."""
    return tuple(
        FormatFile(path.relative_to(folder).as_posix(), sha256_of(path), path.stat().st_size) for path in paths
    )


def _keep_only(folder: Path, reports: Sequence[FormatReport]) -> None:
    """Removes what is of no format that was made: of those left out, and what others are compared with or made from."""
    kept = {file.path for report in reports for file in report.files}
    for path in sorted(folder.rglob("*"), reverse=True):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif name not in kept:
            path.unlink()
