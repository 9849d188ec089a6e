"""What the server writes: a line for each request, and of each kind of trouble a line a minute."""

import logging
import sys
import time

from pipeline.base.fault import escape

ACCESS = logging.getLogger("pipeline.serve.access")
FAULTS = logging.getLogger("pipeline.serve")
SELDOM = 60.0  # seconds between two lines of a kind

_last_lines: dict[str, tuple[float, int]] = {}  # when the last line of a kind was written, and how many were left out


def log(kind: str, message: str) -> None:
    """Warns the operator of the server, at most once a minute of each kind of trouble: a client may cause any number.

    Args:
        kind: what counts as the same trouble.
        message: one sentence; control characters are escaped.
    """
    last, left_out = _last_lines.get(kind, (-SELDOM, 0))
    now = time.monotonic()
    if now - last < SELDOM:
        _last_lines[kind] = last, left_out + 1
        return
    _last_lines[kind] = now, 0
    FAULTS.warning("serve: %s%s", escape(message), f" ({left_out} times since the last line)" if left_out else "")


class AccessHandler(logging.StreamHandler):
    """Writes requests; where they cannot be written, as on a full disk, that is trouble of one kind."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Called by logging where a line cannot be written; else it writes a traceback for each request."""
        error = sys.exception()
        if isinstance(error, OSError):
            log("access log", f"the access log cannot be written: {error.strerror}")
        else:
            super().handleError(record)


def log_request(client: str, request: str, status: int, size: int) -> None:
    """Writes a line of the Common Log Format, in UTC; `size` is that of the body, in bytes.

    Line breaks, quotes and control characters of the request are escaped.
    """
    # Backslashes first: unicode_escape doubles them, and writes everything but printable ASCII as \\x.. or \\u....
    escaped = request.encode("unicode_escape").decode("ascii").replace('"', "\\x22")
    when = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
    ACCESS.info('%s - - [%s] "%s" %d %s', client, when, escaped, status, size or "-")
