"""An interpreter for make whose stages are copies of one process that has imported TensorFlow and JAX.

Importing them takes seconds of each stage, of which the tests run hundreds. A copy runs the code of the folder that it
is started in, in an environment of its own (pipeline.base.forks), as the stages of RUNNER=ray are.

The demo of README.md, `make check-full` and tests of processes, signals and rights run Python itself: in a copy, a
stage's imports, the end of its process and the buffers of its streams are not put to the test. So does a stage with
other variables that Python or the imports read, everything else that the interpreter is asked for, and all on a system
without copies.
"""

import json
import os
import runpy
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

from pipeline.base import environment, forks
from pipeline.cluster.needs import HEAVY
from pipeline.saved_model.programs import PROGRAMS, QUIET

ROOT = Path(__file__).parents[1]
INTERPRETER = "VIT_PUBLISHER_TESTS_PYTHON"  # the variable that tells processes of the tests its path
# Without site-packages the client starts faster.
SCRIPT = """\
#!/bin/sh
case "$1 $2" in
  {stages})
    exec {python} -S -c {client} {folder} "$@" ;;
esac
exec {python} "$@"
"""
# Of JAX and TensorFlow, in the process of the tests, too.
_SET_BY_IMPORTS = ("TF_CPP_MIN_LOG_LEVEL", "TPU_ML_PLATFORM", "TPU_ML_PLATFORM_VERSION", "TPU_SKIP_MDS_QUERY")
_NO_MATTER = {*_SET_BY_IMPORTS, "PYTHONUTF8"}  # all streams are UTF-8 here
_IMPORTED = "VIT_PUBLISHER_TESTS_IMPORTED"  # the environment of the imports, for copies


def interpreter() -> str:
    """Returns the interpreter for make and for stages."""
    return os.environ.get(INTERPRETER, sys.executable)


@contextmanager
def offering(folder: Path) -> Iterator[None]:
    """Offers the interpreter while the block runs; the first stage that uses it waits for the imports.

    Args:
        folder: an empty one, of a short path, which the block's end leaves as it is.
    """
    script, address = folder / "python", str(folder / "socket")
    if not forks.can_serve_at(address):
        yield
        return
    stages = " | ".join(f'"-m pipeline.{stage}"' for stage in HEAVY)
    client = f"import sys; sys.path[0] = {str(ROOT)!r}; from tests import warm; warm.main()"
    words = {"python": sys.executable, "client": client, "folder": str(folder)}
    script.write_text(SCRIPT.format(stages=stages, **{name: shlex.quote(word) for name, word in words.items()}))
    script.chmod(0o755)
    (folder / "environment.json").write_text(json.dumps(_read_early(os.environ)))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.warm", str(listener.fileno()), str(os.getpid())],
            cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[listener.fileno()],
        )  # fmt: skip
    os.environ[INTERPRETER] = str(script)
    try:
        yield
    finally:
        del os.environ[INTERPRETER]
        server.kill()
        server.wait()


def _read_early(variables: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables that say how Python starts, and what JAX and TensorFlow do from their import on."""
    of_python = {name: value for name, value in variables.items() if name.startswith("PYTHON")}
    early = of_python | environment.read_by_imports(variables)
    return {name: value for name, value in early.items() if name not in _NO_MATTER}


# The client, which stands for Python ----------------------------------------------------------------------------------
def run_stage(folder: Path, arguments: Sequence[str]) -> int:
    """Runs `python ARGUMENTS` in a copy, and returns its exit status; in Python itself where it must not be a copy."""
    if json.loads((folder / "environment.json").read_text()) != _read_early(os.environ):
        os.execv(sys.executable, [sys.executable, *arguments])
    command = forks.Command("tests.warm", ("copy", *arguments[1:]), str(Path.cwd()), dict(os.environ))
    with forks.Fork(folder / "socket", command, [0, 1, 2]) as copy:

        def pass_on(number: int, _: FrameType | None) -> None:
            copy.send_signal(number)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, pass_on)
        status = copy.wait()
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


# The server, and its copies -------------------------------------------------------------------------------------------
class _Server(forks.Server):
    """Imports the libraries when the first command comes."""

    imported: str | None = None  # the environment of the imports, as JSON

    def _fork(self, connection: socket.socket, command: forks.Command, descriptors: Sequence[int]) -> None:
        if self.imported is None:
            os.environ.pop(PROGRAMS, None)  # each copy has its own
            os.environ["TF_CPP_MIN_LOG_LEVEL"] = QUIET
            environment.prepare_imports()
            from pipeline.saved_model.load import import_libraries

            import_libraries()
            self.imported = json.dumps(environment._imported_with)
        variables = command.environment | {_IMPORTED: self.imported}
        super()._fork(connection, replace(command, environment=variables), descriptors)


def serve(listener: int, parent: int) -> NoReturn:
    """Serves copies until the process of the tests ends."""
    forks._end_with(parent)
    os.setpgid(0, 0)  # Ctrl-C is for the tests
    with socket.socket(fileno=listener) as listening:
        _Server(listening).serve(idle=None)
    raise SystemExit


def run_copy(module: str, arguments: Sequence[str]) -> None:
    """Runs a module with the code of the current folder: of this project's, only the server's was imported."""
    imported = json.loads(os.environ.pop(_IMPORTED))
    for name in _SET_BY_IMPORTS:
        os.environ.pop(name, None)
        if name in imported:
            os.environ[name] = imported[name]
    for name in [name for name in sys.modules if name.partition(".")[0] in ("pipeline", "tests")]:
        del sys.modules[name]
    sys.path[0] = str(Path.cwd())
    from pipeline.base import environment as own

    own._imported_with = imported
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def main() -> NoReturn:
    match sys.argv[1:]:
        case ["copy", module, *arguments]:
            run_copy(module, arguments)
            raise SystemExit
        case [listener, parent]:
            serve(int(listener), int(parent))
        case [folder, *arguments]:
            raise SystemExit(run_stage(Path(folder), arguments))
    raise SystemExit("tests.warm: expected a folder and what Python is to run")


if __name__ == "__main__":
    main()
