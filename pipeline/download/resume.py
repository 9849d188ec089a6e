"""Decides from a server's answer whether a download is complete, is resumed or restarts."""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests

from pipeline.download.cache import Part, Record
from pipeline.download.checksums import parse_checksums

# What str.isdigit accepts int() may refuse, as it does numbers of thousands of digits; 18 digits are an exabyte.
_SECONDS = re.compile("[0-9]{1,18}")
_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-[0-9]{1,18}|\*)/([0-9]{1,18}|\*)")
_STRONG_TAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]{0,1000}"')  # RFC 9110, section 8.8.3; it is sent back


class Step(enum.Enum):
    """What to do with the bytes that have come, after the server's answer."""

    KEEP = "keep"  # they are the whole file
    RESUME = "resume"  # append the answer's body
    RESTART = "restart"  # drop them, and start with this answer's body if it is the whole file


@dataclass(frozen=True)
class Answer:
    """What an answer says of the file.

    Attributes:
        status: of HTTP.
        record: names and checksums of the file's content.
        start: the position in the file where the body begins; None if it has no part of the file.
    """

    status: int
    record: Record
    start: int | None


def build_headers(whole: Record | None, part: Part | None) -> dict[str, str]:
    """Returns a request's headers.

    They ask for the bytes after the part, or else for a file other than the whole one; always for plain bytes, whose
    length and digest are those of the file.
    """
    headers = {"Accept-Encoding": "identity"}
    if part is not None and part.record.etag is not None:
        return headers | {"Range": f"bytes={part.size}-", "If-Range": part.record.etag}
    if whole is not None and whole.etag is not None:
        return headers | {"If-None-Match": whole.etag}
    return headers


def read_answer(url: str, response: requests.Response) -> Answer:
    """Reads the headers of an answer, and of its redirects, where Hugging Face puts checksums."""
    headers, status = response.headers, response.status_code
    content_range = _RANGE.fullmatch(headers.get("content-range", "").strip())
    start, total = content_range.groups() if content_range else (None, None)
    if status == 200:
        # pipeline.download.connection lets only equal numbers pass; chunks take precedence (RFC 9112, section 6.3).
        lengths = "" if "transfer-encoding" in headers else headers.get("content-length", "")
        start, total = "0", lengths.split(",")[0].strip()
    etag = headers.get("etag", "")
    record = Record(
        url,
        etag=etag if _STRONG_TAG.fullmatch(etag) else None,  # a weak one, W/"...", does not stand for the same bytes
        generation=headers.get("x-goog-generation"),
        length=int(total) if total and total != "*" else None,
        checksums=parse_checksums([*(redirect.headers for redirect in response.history), headers]),
    )
    return Answer(status, record, int(start) if start and status in (200, 206) else None)


def choose_step(part: Part | None, answer: Answer) -> Step:
    """Returns what to do with a part after the answer to a request for the bytes that follow it.

    206 resumes only if the body begins at the part's end and belongs to the same content. 416 means that nothing
    follows: the part is whole if it has the file's length. 200 is the file from its beginning: it has changed, or the
    server knows no ranges.
    """
    if part is None or not _may_be_same(part.record, answer.record):
        return Step.RESTART
    if answer.status == 206 and answer.start == part.size:
        return Step.RESUME
    if answer.status == 416 and part.size == (answer.record.length or part.record.length):
        return Step.KEEP
    return Step.RESTART


def _may_be_same(first: Record, second: Record) -> bool:
    """Whether two records agree in everything that both of them have."""
    pairs = [(first.etag, second.etag), (first.generation, second.generation), (first.length, second.length)]
    pairs += [
        (first.checksums[kind], second.checksums[kind]) for kind in first.checksums.keys() & second.checksums.keys()
    ]
    return all(None in pair or pair[0] == pair[1] for pair in pairs)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds of Retry-After, which is a number or a date; None if it is missing or neither."""
    value = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
