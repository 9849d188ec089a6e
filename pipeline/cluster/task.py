"""The task of Ray: runs one command of a stage on a node, in a copy of a process that has imported its libraries.

All workers of a make on one node share two such processes (pipeline.cluster.warm): one for the stages that need
TensorFlow and JAX, one for all others. The first task that needs one starts it.
"""

import hashlib
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from io import FileIO
from pathlib import Path

from pipeline.base.environment import read_by_imports
from pipeline.base.fault import Fault
from pipeline.base.forks import ADDRESS, Command, Fork
from pipeline.cluster.frames import Kind, open_server, run_folder
from pipeline.saved_model.programs import PROGRAMS, QUIET

CHUNK = 1 << 16
_INTERVAL = 0.2  # seconds between two looks whether the task is cancelled: that does not end a wait for output
_PATIENCE = 3.0  # seconds that an interrupted command gets for its last words
# Variables that say something of the machine, and not of the command: each node has its own.
_NODE_OWN = {
    "CUDA_VISIBLE_DEVICES", "HOME", "HOSTNAME", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "SHELL", "TMPDIR", "USER",
    "XDG_CACHE_HOME", "XDG_RUNTIME_DIR",
}  # fmt: skip
_INPUTS = ("--checkpoints", "--imagenet", "--real")  # pipeline.dag.settings refuses those that make's machine lacks
_kept: dict[str, socket.socket] = {}  # connections that keep the servers of this worker alive


@dataclass(frozen=True)
class StageTask:
    """A stage's command, and where it runs.

    Attributes:
        stage: such as "convert".
        arguments: its command line; of secrets it has the names of variables.
        folder: that of the project, shared by all nodes.
        environment: the variables of the recipe, secrets among them.
        together: whether both output streams go to the same place, so that their order matters.
        python: the interpreter, at the same path on all nodes.
        run: a name for this make.
        is_heavy: whether it uses TensorFlow or JAX.
        shared: files that every node must see, and their content.
    """

    stage: str
    arguments: tuple[str, ...]
    folder: str
    environment: dict[str, str] = field(repr=False)
    together: bool
    python: str
    run: str
    is_heavy: bool
    shared: tuple[tuple[str, str], ...]


Piece = tuple[str, bytes]  # a Kind, and its content


def run_stage(task: StageTask, node: str) -> Iterator[Piece]:
    """Runs a command; yields what it prints, and last its exit status, negative for a signal.

    Args:
        task: the command.
        node: a name of this node for messages, and of the process that is shared on it.

    Raises:
        Fault: when the node lacks the interpreter, an input, or a folder that all nodes must share.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ray.cancel() raises it; who started Ray may ignore it
    _require_shared(task, node)
    with ExitStack() as stack:
        temporary = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        environment = {name: value for name, value in task.environment.items() if name not in _NODE_OWN}
        environment.pop(PROGRAMS, None)
        if task.is_heavy:  # the server reads it when it imports TensorFlow, and its copies have what it read
            environment.setdefault("TF_CPP_MIN_LOG_LEVEL", QUIET)
        environment |= {name: os.environ[name] for name in _NODE_OWN & os.environ.keys()}
        folder = _server(task, environment, node)
        command = Command(
            f"pipeline.{task.stage}",
            task.arguments,
            task.folder,
            environment | {"TMPDIR": temporary, ADDRESS: f"{folder}/socket", PROGRAMS: f"{folder}/programs"},
            temporary,  # also when this worker is killed
        )
        yield from _stream(stack, f"{folder}/socket", command, task.together)


def _require_shared(task: StageTask, node: str) -> None:
    for path in (task.folder, task.python, *_inputs(task)):
        if _is_there(Path(path)):
            continue
        if Path(path).is_symlink():  # as .venv/bin/python is
            raise Fault(
                f"the node {node} has no {os.path.realpath(path)}, which {path} is a link to: it must be on all nodes,"
                " at the same path (docs/scaling.md)"
            )
        raise Fault(
            f"the node {node} has no {path}, or may not read it: the project, its environment and the files and folders"
            " that settings of make name must be on a folder that all nodes share, at the same path (docs/scaling.md)"
        )
    for path, content in task.shared:
        file = Path(path)
        if not file.is_file() or file.read_text(encoding="utf-8") != content:
            raise Fault(
                f"the node {node} does not see the folder {file.parent} of the machine that runs make: ARTIFACTS and"
                " HUB must be on a folder that all nodes share, at the same path (docs/scaling.md)"
            )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # this user may not look
        return False


def _inputs(task: StageTask) -> Iterator[str]:
    """Yields the files and folders that a command reads by settings of make, which make's machine has."""
    for argument in task.arguments:
        option, _, value = argument.partition("=")
        if option in _INPUTS:
            value = task.environment.get(value[4:], "") if value.startswith("env:") else value
            if value and "://" not in value:
                yield str(Path(task.folder, value))


def _server(task: StageTask, environment: dict[str, str], node: str) -> str:
    """Returns the folder of the process that has the imports, which this worker keeps alive from now on."""
    known = read_by_imports(environment)
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode(errors="surrogatepass")).hexdigest()
    folder = run_folder(task.run, node, str(task.is_heavy), digest)
    if folder in _kept and _is_open(_kept[folder]):
        return folder
    _kept[folder] = open_server(folder, partial(_start, task, environment, folder))
    return folder


def _is_open(connection: socket.socket) -> bool:
    try:
        return bool(connection.recv(1, socket.MSG_DONTWAIT))
    except BlockingIOError:
        return True
    except OSError:
        return False


def _start(task: StageTask, environment: dict[str, str], folder: str) -> None:
    ready, theirs = os.pipe()
    kind = "heavy" if task.is_heavy else "light"
    with Path(folder, "log").open("wb") as log:
        subprocess.Popen(
            [task.python, "-m", "pipeline.cluster.warm", folder, str(theirs), kind],
            cwd=task.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[theirs],
        ).wait()  # fmt: skip
    os.close(theirs)
    with os.fdopen(ready, "rb") as listens:
        if not listens.read(1):
            text = Path(folder, "log").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"the process that imports the libraries does not start:\n{text}")


# Output ---------------------------------------------------------------------------------------------------------------
def _stream(stack: ExitStack, address: str, command: Command, together: bool) -> Iterator[Piece]:
    """Runs a command and yields what it prints until it ends; its standard input is open, and says nothing."""
    stdin, _held_open = _pipe(stack)
    output, to_output = _pipe(stack)
    errors, to_errors = (output, to_output) if together else _pipe(stack)
    fork = stack.enter_context(Fork(address, command, [stdin.fileno(), to_output.fileno(), to_errors.fileno()]))
    for stream in (stdin, to_output, to_errors):
        stream.close()
    kinds = {errors: Kind.ERRORS, output: Kind.OUTPUT}
    try:
        yield from _read_until(stack, kinds, fork)
    except KeyboardInterrupt:  # of ray.cancel()
        fork.send_signal(signal.SIGINT)
        select.select([fork], [], [], _PATIENCE)
        raise
    status = fork.wait()
    for stream, kind in kinds.items():
        while content := stream.read(CHUNK):
            yield kind, content
    yield Kind.STATUS, str(status).encode()


def _pipe(stack: ExitStack) -> tuple[FileIO, FileIO]:
    read, write = os.pipe()
    return stack.enter_context(FileIO(read, "rb")), stack.enter_context(FileIO(write, "wb"))


def _read_until(stack: ExitStack, kinds: Mapping[FileIO, Kind], fork: Fork) -> Iterator[Piece]:
    """Yields what comes from the streams until the command has ended."""
    selector = stack.enter_context(selectors.DefaultSelector())
    selector.register(fork, selectors.EVENT_READ)
    for stream in kinds:
        os.set_blocking(stream.fileno(), False)
        selector.register(stream, selectors.EVENT_READ)
    has_ended = False
    while not has_ended:
        for key, _ in selector.select(_INTERVAL):
            if isinstance(key.fileobj, FileIO):
                if content := key.fileobj.read(CHUNK):
                    yield kinds[key.fileobj], content
                elif content is not None:  # all writers have closed it
                    selector.unregister(key.fileobj)
            else:
                has_ended = True
