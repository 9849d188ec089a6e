"""Shows the progress of long work: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from typing import TYPE_CHECKING

from pipeline.base.make_flags import is_beside_others

if TYPE_CHECKING:
    from tqdm import tqdm


def is_terminal() -> bool:
    """Whether a bar may be drawn: on a terminal that no other command of `make -j` draws on."""
    return sys.stderr.isatty() and not is_beside_others()


class Progress:
    """Shows how much is done, at which rate, and how long the rest will take.

    On a terminal it is a bar; elsewhere a plain line every ten seconds and one at the end, so that logs stay readable.
    Work that is shorter than that prints no line.
    """

    def __init__(self, label: str, total: int | None, unit: str, interval: float = 10.0, done: int = 0) -> None:
        """Starts at `done` of `total` units, which an earlier run did and which do not count for the rate.

        Args:
            label: the first words of each line.
            total: the number of units, None if it is unknown.
            unit: a plural, or "B" for bytes.
            interval: seconds between lines.
            done: the units that are done already.
        """
        self._label, self._total, self._unit, self._interval = label, total, unit, interval
        self._count, self._initial, self._started = done, done, time.monotonic()
        self._last_line, self._note = self._started, ""
        self._bar = self._open_bar() if is_terminal() else None

    def _open_bar(self) -> "tqdm":
        from tqdm import tqdm  # 0.08 s, which work without a terminal does without

        return tqdm(
            desc=self._label,
            total=self._total,
            initial=self._initial,
            unit=self._unit,
            unit_scale=self._unit == "B",
            unit_divisor=1000,
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self._last_line > self._started:
            self._print_line()

    def advance(self, count: int, note: str = "") -> None:
        """Adds `count` units; the note, such as an interim result, replaces the one before."""
        self._count += count
        self._note = note
        if self._bar is not None:
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(count)
        elif time.monotonic() - self._last_line >= self._interval:
            self._last_line = time.monotonic()
            self._print_line()

    def _print_line(self) -> None:
        rate = (self._count - self._initial) / (time.monotonic() - self._started)
        rest = (self._total or 0) - self._count
        scale, unit = (1e6, "MB") if self._unit == "B" else (1, self._unit)
        number = ",.1f" if self._unit == "B" else ",.0f"
        total = f"/{self._total / scale:{number}}" if self._total else ""
        left = f", {rest / rate:.0f} s left" if rest > 0 and rate > 0 else ""
        note = f"; {self._note}" if self._note else ""
        done = f"{self._count / scale:{number}}{total} {unit}, {rate / scale:.3g} {unit}/s"
        print(f"{self._label}: {done}{left}{note}", file=sys.stderr, flush=True)
