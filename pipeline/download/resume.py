"""What a server's answer says of a file, and which step follows: values, apart from the transfer itself."""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests

from pipeline.download.cache import Record
from pipeline.download.checksums import announced


class Step(enum.Enum):
    """What to do with the bytes that are there, in view of the server's answer."""

    KEEP = "keep"  # they are the whole file
    RESUME = "resume"  # the answer's body follows them
    RESTART = "restart"  # they are of no use: begin anew, from this answer's body if it is the whole file


@dataclass(frozen=True)
class Answer:
    """What an answer says of the file. `start` is where its body begins; None if it has none of the file."""

    status: int
    record: Record
    start: int | None


def conditions(whole: Record | None, begun: Record | None, size: int) -> dict[str, str]:
    """Returns the request's headers; asking for the plain bytes keeps length and digest those of the file itself."""
    headers = {"Accept-Encoding": "identity"}
    if begun is not None and begun.etag is not None:
        return headers | {"Range": f"bytes={size}-", "If-Range": begun.etag}
    if whole is not None and whole.etag is not None:
        return headers | {"If-None-Match": whole.etag}
    return headers


def read_answer(url: str, response: requests.Response) -> Answer:
    """Returns what the headers say; those of redirects count for checksums, since Hugging Face puts them there."""
    headers, status = response.headers, response.status_code
    within = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", headers.get("content-range", "").strip())
    start, total = (within[1], within[2]) if within else (None, None)
    if status == 200:
        start, total = "0", headers.get("content-length")
    etag = headers.get("etag")
    record = Record(
        url,
        etag=etag if etag and etag.startswith('"') else None,  # W/"..." names what is alike, not the same bytes
        generation=headers.get("x-goog-generation"),
        length=int(total) if total and total.isdigit() else None,
        checksums=announced([*(one.headers for one in response.history), headers]),
    )
    return Answer(status, record, int(start) if start and status in (200, 206) else None)


def _same(one: Record, other: Record) -> bool:
    """Whether nothing that both know speaks against their being of the same bytes."""
    pairs = [(one.etag, other.etag), (one.generation, other.generation), (one.length, other.length)]
    pairs += [(one.checksums[kind], other.checksums[kind]) for kind in one.checksums.keys() & other.checksums.keys()]
    return all(ours is None or theirs is None or ours == theirs for ours, theirs in pairs)


def decide(begun: Record | None, size: int, answer: Answer) -> Step:
    """Returns what to do with `size` bytes of the content `begun` when the server answers so to a Range after them.

    206 resumes only from exactly there in the same content; 416 means that nothing follows, so the bytes are whole if
    the file is as long as they are; 200 is the file from its beginning, since it has changed or the server knows no
    ranges.
    """
    if begun is None or not size or not _same(begun, answer.record):
        return Step.RESTART
    if answer.status == 206 and answer.start == size:
        return Step.RESUME
    if answer.status == 416 and size == (answer.record.length or begun.length):
        return Step.KEEP
    return Step.RESTART


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds that Retry-After asks for: a number, or until a date."""
    value = headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # none, or neither
        return None
