"""Conditional and range requests (RFC 9110), and which form of a page a client prefers."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
# 18 digits are an exabyte; Python refuses to read numbers of thousands of digits.
_RANGE = re.compile(r"([0-9]{0,18})-([0-9]{0,18})")


class Unsatisfiable(Exception):
    """The range begins behind the file's end; the answer is 416."""


def _seconds(date: str) -> float | None:
    """Returns an HTTP-date in seconds since 1970; None for what is none, which section 13.1.3 says to ignore."""
    try:
        parsed = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def http_date(seconds: int) -> str:
    """Returns seconds since 1970 as an HTTP-date (section 5.6.7)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")


def _names(header: str, etag: str, weak: bool) -> bool:
    """Returns whether a list of entity tags, or *, names a strong one (section 8.8.3.2)."""
    tags = _TAG.findall(header)
    return header.strip() == "*" or etag in tags or (weak and f"W/{etag}" in tags)


def verdict(headers: Mapping[str, str], etag: str, modified: int) -> int | None:
    """Returns the status that the preconditions of a GET or HEAD demand, in the order of section 13.2.2.

    Args:
        headers: the request's, by names in lower case.
        etag: the strong entity tag of what would be sent, quotes included.
        modified: when it was last changed, in seconds since 1970.

    Returns:
        304 if the client has it already, 412 if it wants another one, None to go on.
    """
    if "if-match" in headers:
        if not _names(headers["if-match"], etag, weak=False):
            return 412
    elif (since := _seconds(headers.get("if-unmodified-since", ""))) is not None and modified > since:
        return 412
    if "if-none-match" in headers:
        return 304 if _names(headers["if-none-match"], etag, weak=True) else None
    since = _seconds(headers.get("if-modified-since", ""))
    return 304 if since is not None and modified <= since else None


def byte_range(headers: Mapping[str, str], size: int, etag: str, modified: int) -> tuple[int, int] | None:
    """Returns the asked part of a file of `size` bytes as (start, stop), or None for the whole of it.

    The whole is sent where no range is asked for, where it is malformed or of another unit, where If-Range says that
    the client has a part of something else, and for several ranges at once: section 14.2 allows to ignore those, and
    no client that downloads tarballs asks for them.

    Raises:
        Unsatisfiable: when it lies behind the end.
    """
    unit, _, ranges = headers.get("range", "").partition("=")
    found = _RANGE.fullmatch(ranges.strip())
    if unit.strip().lower() != "bytes" or not found or not any(found.groups()):
        return None
    if headers.get("if-range", etag).strip() not in (etag, http_date(modified)):
        return None
    first, last = found.groups()
    if not first:  # the last so many bytes
        if int(last) == 0 or size == 0:
            raise Unsatisfiable
        return max(size - int(last), 0), size
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise Unsatisfiable
    return int(first), min(int(last) + 1, size) if last else size


# Section 12.4.2: 0 to 1 with at most three decimals.
_WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def _weighted(header: str) -> Iterator[tuple[str, float]]:
    """Yields the names of a header's list, in lower case, with their weights; what is malformed is left out."""
    for element in header.split(","):
        name, *parameters = (part.strip() for part in element.lower().split(";"))
        weights = [value[2:] for value in parameters if value.startswith("q=")]
        if name and all(_WEIGHT.fullmatch(weight) for weight in weights):
            yield name, float(weights[0]) if weights else 1.0


def accepts_gzip(accept_encoding: str) -> bool:
    """Returns whether gzip may be sent: it, or * where it is not named, has a weight above 0.

    Without the header any encoding may be sent; but who does not ask for gzip seldom undoes it, so the answer is no.
    """
    weights = dict(_weighted(accept_encoding))
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def preferred(accept: str, offered: Sequence[str]) -> str:
    """Returns the media type with the highest weight, the first offered of equals.

    A weight for text/html counts before one for text/*, and that before one for */* (section 12.5.1). Where nothing
    offered is acceptable the first is sent all the same, which that section allows: a person can read it.

    Args:
        accept: the header; "" if there is none.
        offered: media types without parameters, in lower case, the server's favourite first; at least one.
    """
    weights = dict(_weighted(accept)) or {"*/*": 1.0}

    def weight(media_type: str) -> float:
        names = (media_type, media_type.split("/")[0] + "/*", "*/*")
        return next((weights[name] for name in names if name in weights), 0.0)

    return max(offered, key=weight)
