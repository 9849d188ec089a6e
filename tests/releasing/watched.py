"""Targets that tell a test of every request, and count, record or stop them; the requests reach a real target.

    python -m tests.releasing.watched HUB TO ARTIFACTS REQUEST

releases HUB to TO in a process that kills itself before a request, as `kill -9` would: that of a number, or the first
that begins with an operation and a path, such as "put_large a/b/1.tar.gz".
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.release import release
from pipeline.releasing.local_hub import read_local_hub
from pipeline.targets.interface import Stored, Target
from pipeline.targets.open import open_target

Watch = Callable[[str, str], object]  # gets the name of the operation, such as "swap", and the path


class Watched:
    """A target that calls `before` before each operation, and `after` after those that write."""

    def __init__(self, target: Target, before: Watch, after: Watch = lambda operation, path: None) -> None:
        self.address, self._target, self._before, self._after = target.address, target, before, after

    def head(self, path: str) -> Stored | None:
        self._before("head", path)
        return self._target.head(path)

    def get(self, path: str) -> tuple[bytes, Stored] | None:
        self._before("get", path)
        return self._target.get(path)

    def chunks(self, path: str) -> Iterator[bytes]:
        self._before("chunks", path)
        return self._target.chunks(path)

    def create(self, path: str, content: bytes) -> Stored:
        self._before("create", path)
        stored = self._target.create(path, content)
        self._after("create", path)
        return stored

    def swap(self, path: str, content: bytes, tag: str | None) -> Stored:
        self._before("swap", path)
        stored = self._target.swap(path, content, tag)
        self._after("swap", path)
        return stored

    def put_large(self, path: str, source: Path, advance: Callable[[int], None]) -> Stored:
        self._before("put_large", path)
        stored = self._target.put_large(path, source, advance)
        self._after("put_large", path)
        return stored

    def list(self, prefix: str) -> Iterator[Stored]:
        self._before("list", prefix)
        return self._target.list(prefix)

    def delete(self, path: str) -> None:
        self._before("delete", path)
        self._target.delete(path)

    def sweep(self) -> int:
        self._before("sweep", "")
        return self._target.sweep()


def killing(target: Target, request: str) -> Watched:
    """Returns a target that kills this process before a request: that of a number, from 0, or that of a path."""
    lock, count = threading.Lock(), 0

    def before(operation: str, path: str) -> None:
        nonlocal count
        with lock:
            if str(count) == request or f"{operation} {path}".startswith(request):
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1

    return Watched(target, before)


def main() -> None:
    hub, address, artifacts, request = sys.argv[1:]
    target = killing(open_target(address), request)
    release(read_local_hub(Path(hub)), target, None, Path(artifacts) / "releases")


if __name__ == "__main__":
    main()
