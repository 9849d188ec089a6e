"""Remembers what small files of a hub hold, until they change."""

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from pipeline.base.json_files import LARGEST
from pipeline.server.opening import Identity, identity_of, open_file, read_all

Content = TypeVar("Content")


class ParsedFiles(Generic[Content]):
    """What files of a hub hold; each is parsed again when it has changed."""

    def __init__(
        self, root: Path, parse: Callable[[str, bytes, int], Content], too_large: Content, most: int | None = None
    ) -> None:
        """Reads nothing yet.

        Args:
            root: the hub's folder.
            parse: returns what a file holds, from its path, its bytes, and when it was written, in nanoseconds.
            too_large: what a file of more than LARGEST bytes holds, which is not read.
            most: how many are kept in memory; None for all.
        """
        self._root, self._parse, self._too_large, self._most = root, parse, too_large, most
        self._parsed: OrderedDict[str, tuple[Identity, Content]] = OrderedDict()

    def read(self, path: str) -> Content:
        """Returns what a file holds.

        Raises:
            NotThere: when there is none.
            OSError: when the disk fails.
        """
        descriptor, status = open_file(self._root, tuple(path.split("/")))
        try:
            identity = identity_of(status)
            if path in self._parsed and self._parsed[path][0] == identity:
                self._parsed.move_to_end(path)
                return self._parsed[path][1]
            is_small = status.st_size <= LARGEST
            parsed = self._parse(path, read_all(descriptor), status.st_mtime_ns) if is_small else self._too_large
        finally:
            os.close(descriptor)
        self._parsed[path] = identity, parsed
        while self._most is not None and len(self._parsed) > self._most:
            self._parsed.popitem(last=False)
        return parsed
