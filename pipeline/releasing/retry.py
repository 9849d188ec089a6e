"""Repeats a swap that another publisher was faster with."""

import random
import time
from collections.abc import Callable

from pipeline.base.fault import Fault
from pipeline.targets.interface import Moved

_ATTEMPTS = 60  # each one that fails is another publisher's that succeeded
_LONGEST_PAUSE = 0.5  # seconds between two attempts


def retry_moved(what: str, attempt: Callable[[], None]) -> None:
    """Calls `attempt` until it does not raise Moved.

    Raises:
        Fault: when other publishers were faster too often; it begins with `what`.
    """
    for number in range(_ATTEMPTS):
        try:
            return attempt()
        except Moved:
            # Random, so that publishers which met once do not meet again.
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.02 * 2**number)))
    raise Fault(f"{what}: other publishers wrote it {_ATTEMPTS} times meanwhile; run the same command again")
