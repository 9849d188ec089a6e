"""Conditional requests, range requests and content negotiation, as RFC 9110 has them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
# 18 digits are an exabyte; Python refuses to read numbers of thousands of digits.
_RANGE = re.compile(r"([0-9]{0,18})-([0-9]{0,18})")
_LAST_SECOND = 253_402_300_799  # of the year 9999


class Unsatisfiable(Exception):
    """The range begins behind the file's end; the answer is 416."""


def _seconds(date: str) -> float | None:
    """Parses an HTTP-date into seconds since 1970; None for an invalid one, which section 13.1.3 says to ignore."""
    try:
        parsed = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def http_date(seconds: int) -> str:
    """Returns seconds since 1970 as an HTTP-date (section 5.6.7); of years that it cannot have, the first or last."""
    return datetime.fromtimestamp(min(max(seconds, 0), _LAST_SECOND), UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")


def _matches(header: str, etag: str, weak: bool) -> bool:
    """Returns whether a list of entity tags, or *, matches a strong entity tag (section 8.8.3.2)."""
    tags = _TAG.findall(header)
    return header.strip() == "*" or etag in tags or (weak and f"W/{etag}" in tags)


def precondition_status(headers: Mapping[str, str], etag: str, modified: int) -> int | None:
    """Returns the status that the preconditions of a GET or HEAD demand, in the order of section 13.2.2.

    Args:
        headers: the request's, by names in lower case.
        etag: the strong entity tag of what would be sent, quotes included.
        modified: when it was last changed, in seconds since 1970.

    Returns:
        304 if the client has it already, 412 if it wants another one, None to send it.
    """
    if "if-match" in headers:
        if not _matches(headers["if-match"], etag, weak=False):
            return 412
    elif (since := _seconds(headers.get("if-unmodified-since", ""))) is not None and modified > since:
        return 412
    if "if-none-match" in headers:
        return 304 if _matches(headers["if-none-match"], etag, weak=True) else None
    since = _seconds(headers.get("if-modified-since", ""))
    return 304 if since is not None and modified <= since else None


def byte_range(headers: Mapping[str, str], size: int, etag: str, modified: int) -> tuple[int, int] | None:
    """Returns the requested part of a file of `size` bytes as (start, stop), or None for the whole file.

    The whole file is sent without a range, for a malformed one or one of another unit, where If-Range says that the
    client has a part of another file, and for several ranges: section 14.2 allows to ignore those, and no client that
    downloads tarballs sends them.

    Raises:
        Unsatisfiable: when the range lies behind the end.
    """
    unit, _, ranges = headers.get("range", "").partition("=")
    match = _RANGE.fullmatch(ranges.strip())
    if unit.strip().lower() != "bytes" or not match or not any(match.groups()):
        return None
    if headers.get("if-range", etag).strip() not in (etag, http_date(modified)):
        return None
    first, last = match.groups()
    if not first:  # the last `last` bytes
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
    """Yields the names of a header's list, in lower case, with their weights; malformed elements are left out."""
    for element in header.split(","):
        name, *parameters = (part.strip() for part in element.lower().split(";"))
        weights = [value[2:] for value in parameters if value.startswith("q=")]
        if name and all(_WEIGHT.fullmatch(weight) for weight in weights):
            yield name, float(weights[0]) if weights else 1.0


def accepts_gzip(accept_encoding: str) -> bool:
    """Returns whether to send gzip: it, or * where it is not named, has a weight above 0.

    Without the header any encoding may be sent, but few clients that do not ask for gzip decode it: the answer is no.
    """
    weights = dict(_weighted(accept_encoding))
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def preferred_type(accept: str, offered: Sequence[str]) -> str:
    """Returns the offered media type with the highest weight, the first of equals.

    A weight for text/html takes precedence over one for text/*, and that over one for */* (section 12.5.1). Where no
    type is acceptable the first is sent, which that section allows: a person can read it.

    Args:
        accept: the header; "" if there is none.
        offered: media types without parameters, in lower case, the server's favourite first; at least one.
    """
    weights = dict(_weighted(accept)) or {"*/*": 1.0}

    def weight(media_type: str) -> float:
        names = (media_type, media_type.split("/")[0] + "/*", "*/*")
        return next((weights[name] for name in names if name in weights), 0.0)

    return max(offered, key=weight)
