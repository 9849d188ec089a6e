"""The time, as plans and receipts record it."""

from datetime import UTC, datetime


def timestamp() -> str:
    """Returns the time now to the second: UTC, ISO 8601, such as 2026-11-29T04:20:00+00:00."""
    return datetime.now(UTC).isoformat(timespec="seconds")
