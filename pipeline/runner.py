"""runner: submits the stages of one make to Ray, started by the first recipe of `make RUNNER=ray`.

    python -m pipeline.runner FOLDER MAKE READY [--address HOST:PORT] [--parts N] [--shared FOLDER...]

listens for recipes (pipeline.cluster.client) at FOLDER/socket, writes a byte to the descriptor READY, and ends with the
process MAKE. Without an address it starts Ray on this machine, and ends it.
"""

import argparse
import os
import secrets
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from pipeline.base.command import command_line, describe_disk
from pipeline.base.fault import Fault
from pipeline.cluster.folders import guard, mark_shared, running, sweep_folders
from pipeline.cluster.frames import listen
from pipeline.cluster.session import Session
from pipeline.cluster.submitter import Options, Submitter, wait_for_end

_PATIENCE = 5.0  # seconds for the commands that run when make ends


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.runner", description="Submits the stages of a make to Ray."
    )
    parser.add_argument("folder", type=Path, help="a private folder, for the socket and Ray's files")
    parser.add_argument("make", type=int, help="the process number of make")
    parser.add_argument("ready", type=int, help="a descriptor that gets a byte once recipes can connect")
    parser.add_argument("--address", default="", help="host:port of a cluster's head node (default: start Ray here)")
    parser.add_argument("--parts", type=int, default=1, help="how many tasks classify the images of a member")
    parser.add_argument("--shared", type=Path, nargs="*", default=[], help="folders that all nodes must share")
    return parser.parse_args(arguments)


def run(args: argparse.Namespace) -> None:
    """Runs until make ends."""
    listener = listen(str(args.folder))
    run_name = secrets.token_hex(8)
    with ExitStack() as stack:
        reason = ""
        shared: tuple[tuple[str, str], ...] = ()
        try:
            shared = stack.enter_context(mark_shared(args.shared, run_name))
        except OSError as error:
            place = error.filename or " or ".join(map(str, args.shared))  # a full disk names no file
            reason = f"{place}: {describe_disk(error) or error.strerror}"
        submitter = Submitter(Options(args.address, args.parts, run_name, shared), listener)
        submitter.start()
        os.write(args.ready, b"1")
        os.close(args.ready)
        session = None
        try:
            if reason:
                raise Fault(reason)
            session = Session(args.address, args.folder / "r")
            submitter.use(session)
        except Fault as fault:
            submitter.fail(str(fault))
        except Exception:
            submitter.fail(f"the process that submits the stages failed:\n{traceback.format_exc()}")
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
        try:
            wait_for_end(args.make)
        finally:
            submitter.stop()
            end = time.monotonic() + _PATIENCE
            while submitter.has_commands() and time.monotonic() < end:
                time.sleep(0.05)
            if session:
                session.close()


def main(arguments: Sequence[str]) -> None:
    args = _parse(arguments)
    guard(args.folder)  # Ray ends this process when the node of this machine is lost
    sweep_folders()
    with running(args.folder):
        run(args)


if __name__ == "__main__":
    status = 1
    with suppress(SystemExit):
        main(command_line())
        status = 0
    sys.stderr.flush()
    os._exit(status)  # threads may still wait for Ray
