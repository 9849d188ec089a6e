"""Runs a command of the pipeline in a process of its own, whose memory the system gets back when it ends.

The command's module calls run_job() with its main(); the process that needs it starts it with start_job(). A job reads
nothing: its standard input tells it only that its parent is still there. A job of two halves that import the same
libraries runs one of them in a copy of itself, with start_copy(). Where a process has imported the libraries already
(pipeline.base.forks), a job is a copy of that.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NoReturn

from pipeline.base.command import guarded
from pipeline.base.fault import Fault
from pipeline.base.forks import ADDRESS, Command, Fork

# Jobs that begin with the imports of TensorFlow and JAX. Not pipeline.proof.c_api, which shows that a program without
# Python's TensorFlow can load a module, and not the runners of other runtimes.
COPIED = ("pipeline.saved_model.export", "pipeline.proof.gradients", "pipeline.runtimes.tensorflow_job")


class Job:
    """A command that runs in `process`; its standard output and standard error go to files."""

    def __init__(
        self, module: str, purpose: str, process: subprocess.Popen | Fork, files: tuple[IO[bytes], IO[bytes]]
    ) -> None:
        self.process = process
        self.has_ended = False  # and its number may be another process's
        self._module, self._purpose = module, purpose
        self._output, self._errors = files

    def wait(self) -> str:
        """Waits until the job ends, and returns what it printed.

        Raises:
            Fault: the job's own, or one that says that the job was killed, as the system does when memory runs out.
            RuntimeError: when it failed otherwise; the message has its traceback.
        """
        try:
            status = self.process.wait()
        except OSError as error:  # of a copy, whose server waits for it
            raise Fault(f"{self._purpose} was lost: {error}; run the command again") from error
        self.kill()  # what it started
        self.has_ended = True
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

    def kill(self) -> None:
        """Kills the job and what it started; does nothing once it was waited for."""
        if not self.has_ended:
            with suppress(ProcessLookupError):  # all have ended
                os.killpg(self.process.pid, signal.SIGKILL)


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
    command = [module, *map(str, arguments)]
    with (
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
        # A process that is killed leaves its temporary files behind, TensorFlow's generated code among them.
        tempfile.TemporaryDirectory() as temporary,
        _holders() as held,
        _start(command, os.environ | {"TMPDIR": temporary}, output, errors, held) as process,
    ):
        job = Job(module, purpose, process, (output, errors))
        try:
            yield job
        finally:
            job.kill()


@contextmanager
def _start(
    command: Sequence[str], environment: Mapping[str, str], output: IO[bytes], errors: IO[bytes], held: int
) -> Iterator[subprocess.Popen | Fork]:
    """Starts a module with its arguments in a process group of its own, in which its copies are killed with it."""
    module, *arguments = command
    if (address := os.environ.get(ADDRESS)) and module in COPIED:
        stdin, alive = os.pipe()
        with os.fdopen(stdin, "rb"), os.fdopen(alive, "wb"):
            copied = Command(module, tuple(arguments), str(Path.cwd()), dict(environment))
            if fork := _copy(address, copied, [stdin, output.fileno(), errors.fileno(), held]):
                with fork:
                    yield fork
                return
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=errors,
        env=environment,
        process_group=0,
        pass_fds=[held],
    ) as process:
        yield process


def _copy(address: str, command: Command, descriptors: Sequence[int]) -> Fork | None:
    """Runs a command in a copy of a server; None where the server has ended, and a new process must do it."""
    try:
        return Fork(address, command, descriptors)
    except OSError:
        return None


@contextmanager
def _holders() -> Iterator[int]:
    """Gives a file descriptor for processes to inherit; the block ends when all of them have ended."""
    read, write = os.pipe()
    try:
        yield write
    finally:
        os.close(write)
        os.read(read, 1)  # nobody writes: it returns at the end of the last process
        os.close(read)


@contextmanager
def start_copy(module: str, main: Callable[[], None]) -> Iterator[None]:
    """Runs `main` in a copy of this process, a job, while the block runs, whose end fails as the copy did.

    What is imported before need not be imported again. It must not have started threads, as the first computation of
    JAX or TensorFlow does: a copy has none of them. The threads of NumPy's OpenBLAS are no matter: it starts new ones.

    Args:
        module: as for run_job().
        main: the work of the copy.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as errors:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # since Python 3.12, of any thread
            process = os.fork()
        if not process:
            os.dup2(errors.fileno(), 2)
            try:
                run_job(module, lambda arguments: main())
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(1)
        try:
            yield
        except BaseException:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            raise
        _, ended = os.waitpid(process, 0)
        if ended:
            os.write(2, _text(errors).encode())
            status = os.waitstatus_to_exitcode(ended)
            if status < 0:
                os.kill(os.getpid(), -status)
            os._exit(status)


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
