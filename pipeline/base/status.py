"""Shows what a command is doing while it prints nothing else: a moving line on a terminal, plain lines elsewhere."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from tqdm import tqdm

from pipeline.base.progress import is_terminal

PATIENCE = 10.0  # seconds without a line, off a terminal; twice as long after each line that only says so
MOST_PATIENCE = 60.0
INTERVAL = 0.5  # seconds between two looks at the clock


class Status:
    """Prints finished steps, a line each, and what is being done meanwhile.

    On a terminal the last line shows how many steps are done, what is being done, and for how many seconds. Elsewhere a
    line says so after PATIENCE, and again and again, so that a log shows that the command lives. Every line begins with
    the label: two commands may write to the same terminal or log.
    """

    def __init__(self, label: str, total: int | None = None) -> None:
        """Shows nothing yet.

        Args:
            label: the first words of each line, such as "validate vit_demo".
            total: the number of steps, None if they are not counted.
        """
        self.label, self.total, self._done = label, total, 0
        self._activity, self._patience = "", PATIENCE
        self._begun = self._last_line = time.monotonic()
        self._is_hidden = False
        self._bar: tqdm | None = None
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()
        self._close_bar()

    def begin(self, activity: str) -> None:
        """Says what is done from now on, such as "loading the module"."""
        with self._lock:
            self._activity, self._begun = activity, time.monotonic()
            self._last_line, self._patience = self._begun, PATIENCE
        self.tick()

    def print(self, text: str) -> None:
        """Prints a line for a step that is done."""
        with self._lock:
            self._done += 1
            self._print(text)
            self._last_line, self._patience = time.monotonic(), PATIENCE

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Shows nothing within the block, which has a progress bar of its own."""
        with self._lock:
            self._is_hidden = True
            self._close_bar()
        try:
            yield
        finally:
            with self._lock:
                self._is_hidden, self._last_line = False, time.monotonic()

    def tick(self) -> None:
        """Shows that the command lives."""
        with self._lock:
            if self._is_hidden or not self._activity:
                return
            if is_terminal():
                self._move_bar()
            elif time.monotonic() - self._last_line >= self._patience:
                self._print(f"{self._activity}: {time.monotonic() - self._begun:.0f} s so far")
                self._last_line, self._patience = time.monotonic(), min(2 * self._patience, MOST_PATIENCE)

    def _run(self) -> None:
        while not self._closed.wait(INTERVAL):
            self.tick()

    def _print(self, text: str) -> None:
        tqdm.write(f"{self.label}: {text}", file=sys.stderr)
        sys.stderr.flush()

    def _move_bar(self) -> None:
        if self._bar is None:
            counts = "{percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt}, " if self.total else ""
            label = self.label.replace("{", "{{").replace("}", "}}")
            self._bar = tqdm(total=self.total, leave=False, bar_format=f"{label}: {counts}{{desc}}")
        self._bar.n = min(self._done, self.total or 0)
        self._bar.set_description_str(f"{self._activity}, {time.monotonic() - self._begun:.0f} s")

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
