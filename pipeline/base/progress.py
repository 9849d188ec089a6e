"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import sys
import time

from tqdm import tqdm


class Progress:
    """A bar on a terminal; elsewhere a plain line every ten seconds and one at the end, so that logs stay readable.

    Both say how much is done, at which rate, and how long the rest will take.
    """

    def __init__(self, label: str, total: int | None, unit: str, interval: float = 10.0, done: int = 0) -> None:
        """Begins; `done` of `total` units were done by an earlier run and don't count for the rate."""
        self._label, self._total, self._unit, self._interval = label, total, unit, interval
        self._count, self._before, self._started = done, done, time.monotonic()
        self._spoken, self._note = self._started, ""
        terminal = sys.stderr.isatty()
        self._bar = (
            tqdm(desc=label, total=total, initial=done, unit=unit, unit_scale=unit == "B", unit_divisor=1000)
            if terminal
            else None
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self._spoken > self._started:  # short work stays silent
            self._say()

    def advance(self, count: int, note: str = "") -> None:
        """Adds to what is done; the note, on what came of it so far, takes the place of the one before."""
        self._count += count
        self._note = note
        if self._bar is not None:
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(count)
        elif time.monotonic() - self._spoken >= self._interval:
            self._spoken = time.monotonic()
            self._say()

    def _say(self) -> None:
        rate = (self._count - self._before) / (time.monotonic() - self._started)
        left = (self._total or 0) - self._count
        rest = f", {left / rate:.0f} s left" if left > 0 and rate > 0 else ""
        done = (
            f"{self._amount(self._count)} of {self._amount(self._total)}" if self._total else self._amount(self._count)
        )
        note = f"; {self._note}" if self._note else ""
        print(f"{self._label}: {done}, {self._amount(rate)}/s{rest}{note}", file=sys.stderr, flush=True)

    def _amount(self, count: float) -> str:
        return f"{count / 1e6:.1f} MB" if self._unit == "B" else f"{count:.4g} {self._unit}"
