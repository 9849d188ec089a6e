"""Replays a module's self-test in a session of TensorFlow 1; pipeline.proof.c_api does so in TensorFlow's C API.

tf.saved_model.load builds new functions from the graph, and drops what it does not understand. These two import the
graph as it is: so do TensorFlow Serving, the Go and Java APIs, and TFLite's converter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.base.npz_file import NpzFile
from pipeline.base.verdict import Verdict
from pipeline.facts.checks import LoaderCheck
from pipeline.saved_model import selftest

_MAX_REASON = 300  # characters of an error's message; TensorFlow's may have a whole NodeDef


@dataclass(frozen=True, eq=False)
class SelfTest(selftest.Expected):
    """The self-test inside a module, as a check."""

    def judge(self, errors: Mapping[str, float]) -> LoaderCheck:
        """Returns the check for the relative error of each signature."""
        verdict = Verdict.of(all(error <= self.limit(way) for way, error in errors.items()))
        return LoaderCheck(dict(errors), self.tolerance, verdict, self.tokens_tolerance)

    def fail(self, error: Exception) -> LoaderCheck:
        """Returns the check of a loader that refused the module."""
        return LoaderCheck({}, self.tolerance, Verdict.FAIL, reason=" ".join(str(error).split())[:_MAX_REASON])

    def skip(self, reason: str) -> LoaderCheck:
        """Returns the check of a loader that this machine lacks."""
        return LoaderCheck({}, self.tolerance, Verdict.NOT_MEASURED, reason=reason)


def read_selftest(folder: Path) -> SelfTest:
    """Reads the self-test of a SavedModel.

    Raises:
        Fault: when there is none, or it is damaged.
    """
    path = folder / "assets.extra" / "selftest.npz"
    if not path.is_file():
        raise Fault(f"{path}: the module lacks its self-test; run make convert again")
    with NpzFile(path, str(path), "run make convert again") as file:
        if missing := sorted({"pixels", "outputs", "tolerance"} - file.headers.keys()):
            raise Fault(f"{path}: the self-test lacks {', '.join(missing)}; run make convert again")
        for name in file.headers:
            file.check(name)
    return SelfTest(**vars(selftest.read_expected(path)))


def check_session(folder: Path) -> LoaderCheck:
    """Replays the self-test of a SavedModel in a session of tf.compat.v1; its memory is free again afterwards.

    Raises:
        Fault: when there is no self-test.
    """
    import tensorflow as tf

    test = read_selftest(folder)
    try:
        errors = selftest.session_errors(folder, test)
    except (ValueError, tf.errors.OpError) as error:
        return test.fail(error)
    return test.judge({way.removeprefix("session_"): error for way, error in errors.items()})
