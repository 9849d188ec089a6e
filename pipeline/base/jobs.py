"""Runs a command of the pipeline in a process of its own, whose memory the system gets back when it ends.

The command's module calls run_job() with its main(); the process that needs it starts it with start_job(). A job reads
nothing: its standard input tells it only that its parent is still there.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

from pipeline.base.command import guarded
from pipeline.base.fault import Fault


class Job:
    """A command that runs in `process`; its standard output and standard error go to files."""

    def __init__(
        self, module: str, purpose: str, process: subprocess.Popen, files: tuple[IO[bytes], IO[bytes]]
    ) -> None:
        self.process = process
        self._module, self._purpose = module, purpose
        self._output, self._errors = files

    def wait(self) -> str:
        """Waits until the job ends, and returns what it printed.

        Raises:
            Fault: the job's own, or one that says that the job was killed, as the system does when memory runs out.
            RuntimeError: when it failed otherwise; the message has its traceback.
        """
        status = self.process.wait()
        if not status:
            return _text(self._output)
        errors = _text(self._errors)
        if status < 0:
            likely = "memory ran out: close other programs, or use a machine with more memory"
            if status == -signal.SIGBUS:
                likely = "the disk failed, or a file became shorter while it was in use: fetch or convert it again"
            raise Fault(
                f"{self._purpose} was killed by {signal.Signals(-status).name}; unless somebody did that, {likely}"
                f"\n{errors}".rstrip()
            )
        if fault := re.search(rf"^{re.escape(self._module)}: (.+)", errors, re.MULTILINE | re.DOTALL):
            raise Fault(fault[1].strip())
        raise RuntimeError(f"{self._purpose}: {self._module} ended with status {status}:\n{errors}")


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


@contextmanager
def start_job(module: str, arguments: Sequence[str | Path], purpose: str) -> Iterator[Job]:
    """Starts `python -m module arguments`, and kills it at the end of the block if it still runs.

    Args:
        module: the dotted name of a module that calls run_job().
        arguments: the command line.
        purpose: what the job is for, the beginning of its messages: "the export of the classifier".
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with (
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
        # A process that is killed leaves its temporary files behind, TensorFlow's generated code among them.
        tempfile.TemporaryDirectory() as temporary,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=errors, env=os.environ | {"TMPDIR": temporary}
        ) as process,
    ):
        try:
            yield Job(module, purpose, process, (output, errors))
        finally:
            process.kill()


def run_job(module: str, main: Callable[[Sequence[str]], None]) -> NoReturn:
    """Runs a job's main() with the command line, and ends the process, with its parent if that ends first.

    Args:
        module: the name under which start_job() started it.
        main: does the work, and may print a result.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    status = guarded(module, lambda: main(sys.argv[1:]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # Python would take the millions of objects of a model apart first, which takes seconds


def _end_with_parent() -> None:
    """Ends this process when its standard input is closed, as a killed parent's pipes are."""
    while os.read(0, 1024):  # not sys.stdin, whose lock would stop the interpreter from ending while this waits
        pass
    os._exit(1)
