"""How patient a download is: which failures are tried again, how often, and after which pause."""

import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.base.fault import Unavailable
from pipeline.download.connection import HEAD_SECONDS

_ASSUMED_LENGTH = 100_000_000  # bytes, of a file whose server does not say its length


@dataclass(frozen=True)
class Policy:
    """The limits of one download; times in seconds.

    Attributes:
        tries: in a row that bring less than a hundredth of the file; then the source is given up.
        pause: before the second try. It doubles each time, up to `longest_pause`, and is shortened at random by up to
            half, so that many clients don't come back at once.
        longest_wait: the longest Retry-After that is waited for; for a longer one the source is given up.
        longest_waits: all pauses together; then the source is given up. A download over a line that breaks every minute
            pauses for some minutes in all.
        connect, silence: timeouts for the connection, and for each part of the answer.
        head: the time for the head of an answer, from its first byte.
        slowest, stretch: a connection with fewer bytes per second, over this many seconds, counts as broken.
        largest: the size in bytes from which a file is refused. The largest public Vision Transformer has 7.4 GB,
            ImageNet's validation images have 6.7 GB.
        largest_unannounced: the same where the server says no length, as few do, so that nobody sees the end of the
            download coming. The AugReg pool's largest file has 1.3 GB, that of ViT-H/14 2.5 GB.
        sleep: what waits; tests replace it.
    """

    tries: int = 6
    pause: float = 1.0
    longest_pause: float = 30.0
    longest_wait: float = 300.0
    longest_waits: float = 3600.0
    connect: float = 10.0
    silence: float = 60.0
    head: float = HEAD_SECONDS
    slowest: float = 1000.0
    stretch: float = 60.0
    largest: int = 32_000_000_000
    largest_unannounced: int = 4_000_000_000
    sleep: Callable[[float], None] = time.sleep

    @property
    def half(self) -> int:
        """What a failure costs that another try rarely overcomes: the second one is the last."""
        return max(1, self.tries // 2)


class TryAgain(Exception):
    """A failure that another try may overcome.

    Attributes:
        wait: the seconds of the server's Retry-After, or None.
        may_progress: whether bytes that this try has brought make the count of tries start again.
        cost: how many tries it counts as.
    """

    def __init__(self, reason: str, wait: float | None = None, may_progress: bool = True, cost: int = 1) -> None:
        super().__init__(reason)
        self.wait, self.may_progress, self.cost = wait, may_progress, cost


class Retries:
    """Counts the failures of one download, and pauses after each.

    The count starts again whenever a hundredth of the file has come since, so that a download that gets on is not given
    up.
    """

    def __init__(self, policy: Policy, label: str, size: int) -> None:
        """Begins with the `size` bytes that an earlier process left; `label` goes before messages."""
        self._policy, self._label = policy, label
        self._failures, self._counted_size, self._paused = 0, size, 0.0

    def pause_after(self, failure: TryAgain, size: int, length: int | None) -> None:
        """Waits for the next try.

        Args:
            failure: the failure.
            size: the bytes that have come so far.
            length: the length of the file in bytes, if it is known.

        Raises:
            Unavailable: when there have been too many failures, or the server wants a longer wait than the policy.
        """
        self._failures += failure.cost
        if failure.may_progress and size - self._counted_size >= max(1, (length or _ASSUMED_LENGTH) // 100):
            self._failures, self._counted_size = 1, size
        if self._failures >= self._policy.tries:
            raise Unavailable(f"{failure}; given up")
        if failure.wait is not None and failure.wait > self._policy.longest_wait:
            raise Unavailable(f"{failure}; the server asks to come back in {failure.wait:.0f} s") from failure
        longest = min(self._policy.longest_pause, self._policy.pause * 2 ** (self._failures - 1))
        pause = max(longest * random.uniform(0.5, 1), failure.wait or 0)
        self._paused += pause
        if self._paused > self._policy.longest_waits:
            raise Unavailable(f"{failure}; given up after waiting for {self._paused / 60:.0f} minutes in all")
        print(f"{self._label}: {failure}; trying again in {pause:.0f} s", file=sys.stderr, flush=True)
        self._policy.sleep(pause)
