"""Downloads one file over HTTP into the cache, and resumes where a broken connection or a killed process left it.

Each answer of the server leads to one of three steps (pipeline.download.resume): keep what is there, resume after it,
or restart. Network errors are retried with growing pauses: 408, 429, 5xx, a broken connection, a body that is too
short, a wrong checksum, a connection that is too slow. Other statuses, such as 401, 403 and 404, are final.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace

import requests

from pipeline.base.addresses import public_address
from pipeline.base.fault import Unavailable, show_name
from pipeline.download.address import Address
from pipeline.download.cache import Entry, Record
from pipeline.download.network import describe_error, describe_failure, open_session
from pipeline.download.request import check_encoding, check_status, send_request
from pipeline.download.resume import Step, build_headers, choose_step, read_answer
from pipeline.download.retry import Policy, Retries, TryAgain
from pipeline.download.transfer import compute_digests, receive_body


def download(address: Address, entry: Entry, label: str, policy: Policy, expected: str | None = None) -> str:
    """Makes `entry.file` the file at the address, and returns its SHA-256.

    A whole file with the expected digest is used without a request. Another one stays until the new one is whole; where
    no digest is expected it is kept if the server says that it has not changed.

    Args:
        address: what to get.
        entry: its place in the cache.
        label: for progress.
        policy: how patient to be.
        expected: the file's SHA-256, if it is known.

    Raises:
        Unreachable: when there is no connection to the server.
        Misconfigured: when the environment's proxy or certificates are in the way.
        Forbidden: when the server gives the file to others only.
        Unavailable: when the server does not have the file, not all of it comes, or it is larger than accepted.
    """
    sha256 = entry.verify_file(expected)
    if sha256 is not None and sha256 == expected:
        return sha256
    if sha256 is None and entry.read_whole():
        entry.drop_file()  # damaged since it was written
    # With an expected digest, the file that is there is the wrong one, even if the server still has the same.
    whole = entry.read_whole() if expected is None and sha256 is not None else None
    part = entry.read_part()
    retries, has_answered = Retries(policy, label, part.size if part else 0), part is not None
    with open_session(policy.head) as session:
        while True:
            try:
                return _try_once(session, address, entry, whole, label, policy)
            except requests.ConnectionError as error:
                # A host that was never reached is not worth half a minute when there are other sources.
                if not has_answered:
                    raise describe_failure(error) from error
                failure = TryAgain(describe_error(error))
            except TryAgain as error:
                failure, has_answered = error, True
            part = entry.read_part()
            retries.pause_after(failure, part.size if part else 0, part.record.length if part else None)


def _try_once(
    session: requests.Session, address: Address, entry: Entry, whole: Record | None, label: str, policy: Policy
) -> str:
    """Sends one request and does what its answer calls for; returns the whole file's SHA-256."""
    part = entry.read_part()
    if part and (part.record.etag is None or part.record.url != public_address(address.url)):
        part = None  # nothing tells whether the server still has the same file
    with closing(send_request(session, address, build_headers(whole, part), policy)) as response:
        check_status(response)
        if whole and response.status_code == 304:
            return str(whole.sha256)
        answer = read_answer(public_address(address.url), response)
        step = choose_step(part, answer)
        if step is Step.KEEP and part:
            return _finish(entry, part.record, compute_digests(entry.part_file, part.record.checksums), policy)
        if step is Step.RESTART and answer.status != 200:
            entry.drop_part()
            raise TryAgain(f"HTTP {answer.status} does not fit the request; starting again")
        check_encoding(response)
        if step is Step.RESTART or part is None:
            part = entry.start_part(answer.record)
        try:
            digests = receive_body(response, entry.part_file, part, label, policy)
        except Unavailable:  # too large, so that it is of no use later
            entry.drop_part()
            raise
        return _finish(entry, part.record, digests, policy)


def _finish(entry: Entry, record: Record, digests: Mapping[str, str], policy: Policy) -> str:
    """Checks length and checksums, makes the part the whole file, and returns its SHA-256."""
    if wrong := _find_mismatch(entry.part_file.stat().st_size, record, digests):
        entry.drop_part()
        # Every such try is a whole download: the second one is the last.
        raise TryAgain(f"the file was damaged on its way: {wrong}", may_progress=False, cost=policy.half)
    entry.finish_part(replace(record, sha256=digests["sha256"]))
    return digests["sha256"]


def _find_mismatch(size: int, record: Record, digests: Mapping[str, str]) -> str:
    """Returns what is not as the server announced it, "" if all is."""
    if record.length not in (None, size):
        return f"the size is {size}, expected {record.length}"
    for kind, value in sorted(record.checksums.items()):
        if digests[kind] != value:
            return f"wrong {kind}: expected {show_name(value)}, got {digests[kind]}"
    return ""
