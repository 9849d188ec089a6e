"""A stage for the tests of pipeline.cluster: `python -m pipeline.trial ACTION ARGUMENT...` in a tree of theirs."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.base.command import command
from pipeline.base.fault import Fault


def main(arguments: Sequence[str]) -> str:
    action, *rest = arguments
    if action == "lines":  # on both streams in turn
        for number in range(int(rest[0])):
            print(number, file=sys.stderr if number % 2 else sys.stdout)
    elif action == "fault":
        with Path(rest[0]).open("a") as attempts:
            attempts.write("attempt\n")
        raise Fault(f"{rest[0]}: expected a whole file, and it is empty; fetch it again")
    elif action == "status":
        sys.exit(int(rest[0]))
    elif action == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif action == "value":  # of env:<NAME>
        print(len(rest[0]), str(Path.cwd()) == os.environ["PWD"], sys.argv[0])
    elif action == "wait":  # writes its number to a file, and waits for ever, but for the second time
        with Path(rest[0]).open("a") as attempts:
            attempts.write(f"{os.getpid()} {os.getppid()}\n")
        print("waiting", flush=True)
        while len(Path(rest[0]).read_text().splitlines()) < 2:
            time.sleep(0.02)
        print("done")
    return action


if __name__ == "__main__":
    raise SystemExit(command("trial", main))
