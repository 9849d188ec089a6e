"""download against a real server that does everything wrong: the right file in the end, or a clear reason and none."""

import base64
import gzip
import hashlib
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path

import google_crc32c
import numpy as np
import pytest

from pipeline.base.fault import Unavailable
from pipeline.download import cache
from pipeline.download.address import Address
from pipeline.download.cache import Part, Record
from pipeline.download.http import download
from pipeline.download.obtain import Access, obtain_file
from pipeline.download.resume import Answer, Step, choose_step
from pipeline.download.retry import Policy
from tests.conftest import ROOT
from tests.faulty_server import (
    Behaviour,
    Faulty,
    Handler,
    Resource,
    cut,
    dripping,
    faulty,
    good,
    partial,
    redirect,
    self_signed,
    stalling,
    status,
    whole,
)

CONTENT = np.random.default_rng(0).bytes(1_000_003)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
GOOD_HASHES = {
    "md5": base64.b64encode(hashlib.md5(CONTENT).digest()).decode(),
    "crc32c": base64.b64encode(google_crc32c.Checksum(CONTENT).digest()).decode(),
}


class Client:
    """Downloads into a cache of its own and notes the pauses it would have made."""

    def __init__(self, folder: Path, **policy: float) -> None:
        self.folder = folder
        self.pauses: list[float] = []
        self.policy = Policy(sleep=self.pauses.append, **policy)  # type: ignore[arg-type]

    def get(self, url: str, expected: str | None = None, token: str | None = None) -> bytes:
        with cache.open_entry(self.folder, url, "get") as entry:
            sha256 = download(Address(url, lambda: token), entry, "get", self.policy, expected)
            content = entry.file.read_bytes()
            assert sha256 == hashlib.sha256(content).hexdigest()
            return content

    def refused(self, url: str) -> str:
        """Expects no file, and returns the reason."""
        with pytest.raises(Unavailable) as raised:
            self.get(url)
        assert not self.files(url)
        return str(raised.value)

    def files(self, url: str) -> list[Path]:
        """Returns the whole files in the cache: what a stage could take for the real thing."""
        with cache.open_entry(self.folder, url, "get") as entry:
            return [entry.file] if entry.file.exists() else []


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path / "cache")


KNOWN = Record("u", etag='"one"', generation="7", length=100, checksums={"md5": "aa"})


@pytest.mark.parametrize(
    ("part", "answer", "step"),
    [
        (None, Answer(200, KNOWN, 0), Step.RESTART),
        (Part(KNOWN, 40), Answer(206, KNOWN, 40), Step.RESUME),
        (Part(KNOWN, 40), Answer(206, Record("u", length=100), 40), Step.RESUME),  # it need not say it all again
        (Part(KNOWN, 40), Answer(206, KNOWN, 39), Step.RESTART),  # from elsewhere
        (Part(KNOWN, 40), Answer(206, KNOWN, None), Step.RESTART),  # from nobody knows where
        (Part(KNOWN, 40), Answer(206, Record("u", etag='"two"', length=100), 40), Step.RESTART),
        (Part(KNOWN, 40), Answer(206, Record("u", etag='"one"', generation="8", length=100), 40), Step.RESTART),
        (Part(KNOWN, 40), Answer(206, Record("u", etag='"one"', length=101), 40), Step.RESTART),
        (
            Part(KNOWN, 40),
            Answer(206, Record("u", etag='"one"', length=100, checksums={"md5": "bb"}), 40),
            Step.RESTART,
        ),
        (Part(KNOWN, 40), Answer(200, KNOWN, 0), Step.RESTART),
        (Part(KNOWN, 100), Answer(416, Record("u", length=100), None), Step.KEEP),
        (Part(KNOWN, 100), Answer(416, Record("u"), None), Step.KEEP),
        (Part(KNOWN, 40), Answer(416, Record("u", length=100), None), Step.RESTART),
        (Part(KNOWN, 120), Answer(416, Record("u", length=100), None), Step.RESTART),
        (Part(KNOWN, 100), Answer(416, Record("u", etag='"two"', length=100), None), Step.RESTART),
        (Part(Record("u", etag='"one"'), 40), Answer(416, Record("u"), None), Step.RESTART),  # no length known at all
    ],
)
def test_the_next_step(part: Part | None, answer: Answer, step: Step) -> None:
    assert choose_step(part, answer) is step


@pytest.mark.parametrize("reset", [False, True])
def test_a_line_cut_at_every_tenth_is_taken_up_there(client: Client, reset: bool) -> None:
    tenths = [len(CONTENT) * tenth // 10 for tenth in range(10)]
    with faulty(CONTENT, *(cut(position, reset) for position in tenths)) as server:
        assert client.get(server.url()) == CONTENT
    starts = [request.start or 0 for request in server.requests]
    assert starts == sorted(starts)
    if not reset:  # a reset may take away bytes that were on their way
        assert starts == [0, 0, *tenths[1:]]
        assert server.sent == len(CONTENT)
    assert all(request.headers["if-range"] == '"one"' for request in server.requests if request.start)


@pytest.mark.parametrize("tenth", range(10))
def test_another_process_takes_up_a_line_cut_at_any_tenth(client: Client, tenth: int) -> None:
    position = len(CONTENT) * tenth // 10
    with faulty(CONTENT, cut(position)) as server:
        other = Client(client.folder, tries=1)
        assert str(position) in other.refused(server.url())
        assert client.get(server.url()) == CONTENT
        assert [request.start for request in server.requests] == [None, position or None]


def test_bytes_that_come_count_against_giving_up(client: Client) -> None:
    """Fifty cuts don't stop a download that gets on, six in one place do."""
    positions = list(range(0, len(CONTENT), len(CONTENT) // 50))[1:]
    with faulty(CONTENT, *map(cut, positions)) as server:
        assert client.get(server.url()) == CONTENT
    with faulty(CONTENT, *[cut(1000)] * 6) as server:
        assert "the connection ended after 1000 of 1000003 bytes; given up" in client.refused(server.url())
        assert len(server.requests) == 6


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410])
def test_what_the_server_has_decided_is_not_tried_again(client: Client, code: int) -> None:
    with faulty(CONTENT, status(code)) as server:
        assert client.refused(server.url()).startswith(f"HTTP {code} ")
        assert len(server.requests) == 1
    assert client.pauses == []


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504, 520])
def test_what_may_pass_is_tried_again_with_growing_pauses(client: Client, code: int) -> None:
    with faulty(CONTENT, *[status(code)] * 3) as server:
        assert client.get(server.url()) == CONTENT
        assert len(server.requests) == 4
    for pause, longest in zip(client.pauses, (1, 2, 4), strict=True):
        assert longest / 2 <= pause <= longest


def test_what_does_not_pass_is_given_up(client: Client) -> None:
    with faulty(CONTENT, *[status(500)] * 6) as server:
        assert client.refused(server.url()) == "HTTP 500 Internal Server Error; given up"
        assert len(server.requests) == 6


def test_one_try_is_one_try(tmp_path: Path) -> None:
    with faulty(CONTENT, *[whole()] * 3, headers={"x-goog-hash": "crc32c=AAAAAA=="}) as server:
        assert "wrong crc32c" in Client(tmp_path, tries=1).refused(server.url())
        assert len(server.requests) == 1


def test_retry_after_is_honoured(client: Client) -> None:
    date = formatdate(time.time() + 100, usegmt=True)
    with faulty(CONTENT, status(429, Retry_After=17), status(503, Retry_After=date)) as server:
        assert client.get(server.url()) == CONTENT
    assert client.pauses[0] == 17
    assert 80 < client.pauses[1] <= 100


def test_a_server_that_wants_too_much_patience_is_given_up(client: Client) -> None:
    with faulty(CONTENT, status(429, Retry_After=3600)) as server:
        assert "the server asks to come back in 3600 s" in client.refused(server.url())
        assert len(server.requests) == 1


def test_200_to_a_range_starts_anew(client: Client) -> None:
    with faulty(CONTENT, cut(500_000), whole()) as server:
        assert client.get(server.url()) == CONTENT
        assert [request.start for request in server.requests] == [None, 500_000]


def test_a_changed_file_starts_anew(client: Client) -> None:
    other = CONTENT[::-1]

    def change(handler: Handler, resource: Resource) -> None:
        resource.content, resource.etag = other, '"two"'
        good(handler, resource)

    with faulty(CONTENT, cut(500_000), change) as server:
        assert client.get(server.url()) == other


def test_a_range_of_a_changed_file_is_refused(client: Client) -> None:
    """The server gives the range although If-Range does not agree: only its ETag tells."""
    other = CONTENT[::-1]

    def change(handler: Handler, resource: Resource) -> None:
        resource.content, resource.etag = other, '"two"'
        partial(f"bytes 500000-{len(other) - 1}/{len(other)}", other[500_000:])(handler, resource)

    with faulty(CONTENT, cut(500_000), change) as server:
        assert client.get(server.url()) == other
        assert [request.start for request in server.requests] == [None, 500_000, None]


def test_a_changed_generation_starts_anew(client: Client) -> None:
    other = CONTENT[::-1]

    def change(handler: Handler, resource: Resource) -> None:
        resource.content, resource.headers = other, {"x-goog-generation": "2"}
        good(handler, resource)

    with faulty(CONTENT, cut(500_000), change, headers={"x-goog-generation": "1"}) as server:
        assert client.get(server.url()) == other


@pytest.mark.parametrize(
    "wrong",
    [
        partial(f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}", CONTENT),
        partial(f"bytes 499999-{len(CONTENT) - 1}/{len(CONTENT)}", CONTENT[499_999:]),
        partial(f"bytes 500000-{len(CONTENT)}/{len(CONTENT) + 1}", CONTENT[500_000:] + b"x"),
        partial(None, CONTENT[500_000:]),
        partial("multipart nonsense", CONTENT[500_000:]),
        status(416, Content_Range="bytes */7"),
        status(416),
    ],
)
def test_a_wrong_range_starts_anew(client: Client, wrong: Behaviour) -> None:
    with faulty(CONTENT, cut(500_000), wrong) as server:
        assert client.get(server.url()) == CONTENT
        assert [request.start for request in server.requests] == [None, 500_000, None]


def test_416_after_the_last_byte_keeps_the_file(client: Client) -> None:
    """As when the process was killed right after the last byte."""
    with faulty(CONTENT) as server:
        client.get(server.url())
        with cache.open_entry(client.folder, server.url(), "get") as entry:
            record = entry.read_whole()
            assert record
            entry.start_part(record)
            entry.file.replace(entry.part_file)
            entry.drop_file()
        assert client.get(server.url()) == CONTENT
        assert server.requests[-1].start == len(CONTENT)
        assert server.sent == len(CONTENT)


@pytest.mark.parametrize("closed", [False, True])
def test_a_kill_before_the_renaming_loses_neither_file(client: Client, closed: bool) -> None:
    """The new file's record is there already, and the old file still is."""
    with faulty(CONTENT[::-1], etag='"zero"') as server:
        client.get(server.url())
        with cache.open_entry(client.folder, server.url(), "get") as entry:
            record = Record(server.url(), etag='"one"', length=len(CONTENT), sha256=SHA256)
            entry.start_part(record)
            entry.part_file.write_bytes(CONTENT)
            old = entry.file.read_bytes()
            entry.finish_part(record)
            entry.file.replace(entry.part_file)
            entry.file.write_bytes(old)
        server.resource = Resource(CONTENT)
        server.script += [status(403)] * closed
        before = len(server.requests)
        assert client.get(server.url(), expected=hashlib.sha256(old).hexdigest()) == old
        assert len(server.requests) == before
        with obtain_file(server.url(), Access(client.folder, offline=True), "") as file:
            assert file.path.read_bytes() == CONTENT
        assert client.get(server.url(), expected=SHA256) == CONTENT
        assert len(server.requests) == before


@pytest.mark.parametrize("etag", [None, 'W/"one"', "one"])
def test_without_a_strong_etag_nothing_is_resumed(client: Client, etag: str | None) -> None:
    with faulty(CONTENT, cut(500_000), etag=etag) as server:
        assert client.get(server.url()) == CONTENT
        assert [request.start for request in server.requests] == [None, None]


def test_a_length_that_is_too_large_is_a_short_body(client: Client) -> None:
    with faulty(CONTENT, *[whole(Content_Length=len(CONTENT) + 1)] * 6) as server:
        reason = client.refused(server.url())
    assert f"{len(CONTENT)} of {len(CONTENT) + 1} bytes" in reason or "1 more expected" in reason


def test_a_length_that_is_too_small_is_found_by_the_checksum(client: Client) -> None:
    with faulty(CONTENT, *[whole(Content_Length=1000)] * 2, headers={"x-goog-hash": f"md5={GOOD_HASHES['md5']}"}) as s:
        assert "the file was damaged on its way: wrong md5" in client.refused(s.url())


def test_a_body_of_no_stated_length_is_taken(client: Client) -> None:
    with faulty(CONTENT, whole(Content_Length=None)) as server:
        assert client.get(server.url()) == CONTENT


@pytest.mark.parametrize("complete", [True, False])
def test_chunks_end_with_their_end(client: Client, complete: bool) -> None:
    def chunked(handler: Handler, resource: Resource) -> None:
        handler.answer(200, resource, Transfer_Encoding="chunked")
        handler.body(b"%x\r\n%b\r\n" % (len(CONTENT), CONTENT))
        if complete:
            handler.body(b"0\r\n\r\n")

    with faulty(CONTENT, *[chunked] * 6) as server:
        if complete:
            assert client.get(server.url()) == CONTENT
        else:
            assert "the connection broke after" in client.refused(server.url())


def test_checksums_that_agree(client: Client) -> None:
    hashes = ", ".join(f"{kind}={value}" for kind, value in GOOD_HASHES.items())
    with faulty(CONTENT, cut(300_000), headers={"x-goog-hash": hashes, "X-Linked-Etag": f'"{SHA256}"'}) as server:
        assert client.get(server.url()) == CONTENT


@pytest.mark.parametrize(
    ("header", "value", "message"),
    [
        ("x-goog-hash", "crc32c=AAAAAA==", "wrong crc32c: expected 00000000, got "),
        (
            "x-goog-hash",
            f"crc32c={GOOD_HASHES['crc32c']},md5=AAAAAAAAAAAAAAAAAAAAAA==",
            f"wrong md5: expected {'0' * 32}",
        ),
        ("x-goog-hash", "md5=?", "wrong md5: expected no base64: ?, got"),
        ("X-Linked-Etag", f'"{"0" * 64}"', f"wrong sha256: expected {'0' * 64}, got {SHA256}"),
    ],
)
def test_a_checksum_that_does_not_agree_is_tried_once_more(
    client: Client, header: str, value: str, message: str
) -> None:
    with faulty(CONTENT, headers={header: value}) as server:
        assert message in client.refused(server.url())
        assert [request.start for request in server.requests] == [None, None]
        server.resource.headers = {}
        assert client.get(server.url()) == CONTENT


def test_a_checksum_of_the_stored_form_is_not_the_files(client: Client) -> None:
    headers = {"x-goog-stored-content-encoding": "gzip", "x-goog-hash": "crc32c=AAAAAA=="}
    with faulty(CONTENT, headers=headers) as server:
        assert client.get(server.url()) == CONTENT


def test_the_etag_of_a_small_file_is_no_sha256(client: Client) -> None:
    with faulty(CONTENT, headers={"X-Linked-Etag": f'"{"0" * 40}"'}) as server:
        assert client.get(server.url()) == CONTENT


def test_damage_on_the_way_is_found_and_mended(client: Client) -> None:
    damaged = bytearray(CONTENT)
    damaged[123_456] ^= 1

    def damage(handler: Handler, resource: Resource) -> None:
        handler.answer(200, resource, Content_Length=len(damaged))
        handler.body(bytes(damaged))

    with faulty(CONTENT, damage, headers={"x-goog-hash": f"crc32c={GOOD_HASHES['crc32c']}"}) as server:
        assert client.get(server.url()) == CONTENT
        assert len(server.requests) == 2


def test_plain_bytes_are_asked_for_and_others_refused(client: Client) -> None:
    def encoded(handler: Handler, resource: Resource) -> None:
        packed = gzip.compress(resource.content)
        handler.answer(200, resource, Content_Length=len(packed), Content_Encoding="gzip")
        handler.body(packed)

    with faulty(CONTENT, encoded) as server:
        assert "sends the file gzip-encoded although the plain bytes were asked for" in client.refused(server.url())
        assert server.requests[0].headers["accept-encoding"] == "identity"
        assert len(server.requests) == 1


def test_an_endless_drip_ends(tmp_path: Path) -> None:
    client, stop = Client(tmp_path, slowest=1e6, stretch=0.05, tries=3), threading.Event()
    with faulty(CONTENT, *[dripping(stop)] * 3) as server:
        assert "the connection brings only" in client.refused(server.url())
        assert len(server.requests) == 3
        stop.set()


def test_a_silent_line_is_taken_up_again(tmp_path: Path) -> None:
    client, go_on = Client(tmp_path, silence=0.2), threading.Event()
    with faulty(CONTENT, stalling(400_000, threading.Event(), go_on)) as server:
        assert client.get(server.url()) == CONTENT
        go_on.set()
        assert [request.start for request in server.requests] == [None, 400_000]


def test_a_server_that_never_answers(tmp_path: Path) -> None:
    def silent(handler: Handler, resource: Resource) -> None:
        go_on.wait(60)

    client, go_on = Client(tmp_path, silence=0.1, tries=2), threading.Event()
    with faulty(CONTENT, silent, silent) as server:
        assert "no answer within 0 s" in client.refused(server.url())
        go_on.set()


def test_a_line_dropped_before_the_answer_is_tried_again(client: Client) -> None:
    with faulty(CONTENT, lambda handler, _: handler.reset(), lambda handler, _: None) as server:
        assert client.get(server.url()) == CONTENT
        assert len(server.requests) == 3


def test_a_host_that_is_not_there_is_given_up_at_once(client: Client) -> None:
    with faulty(CONTENT, cut(1000)) as server:
        Client(client.folder, tries=1).refused(server.url())
    # Nobody listens there any more; of a file that has begun to come, more patience is shown.
    assert "Connection refused" in client.refused(f"{server.address}/other.npz")
    assert client.pauses == []
    assert "Connection refused" in client.refused(server.url())
    assert len(client.pauses) == 5


def test_a_circle_of_redirects_ends(client: Client) -> None:
    def circle(handler: Handler, resource: Resource) -> None:
        redirect("/b" if handler.path == "/a" else "/a")(handler, resource)

    with faulty(CONTENT, *[circle] * 100) as server:
        assert "redirects in a circle" in client.refused(server.url("a"))
        assert len(server.requests) <= 31


def test_a_redirect_elsewhere_gets_no_token(client: Client) -> None:
    with faulty(CONTENT) as other, faulty(b"", redirect("/same")) as first:
        first.script.append(redirect(other.url("there")))
        assert client.get(first.url(), token="secret") == CONTENT
    assert [request.headers.get("authorization") for request in first.requests] == ["Bearer secret"] * 2
    assert [request.headers.get("authorization") for request in other.requests] == [None]


def test_a_redirect_to_another_name_of_the_host_gets_no_token(client: Client) -> None:
    with faulty(CONTENT) as server:
        server.script.append(redirect(server.url().replace("127.0.0.1", "localhost")))
        assert client.get(server.url(), token="secret") == CONTENT
    assert [request.headers.get("authorization") for request in server.requests] == ["Bearer secret", None]


def test_a_token_that_does_not_do_is_named(client: Client) -> None:
    with faulty(CONTENT, status(403)) as server, pytest.raises(Unavailable) as raised:
        client.get(server.url(), token="secret")
    assert str(raised.value) == "HTTP 403 Forbidden to the token that was sent"


@pytest.mark.parametrize("token", ["secret\r", "sec\nret", "secret\N{EURO SIGN}"])
def test_no_message_has_a_token(client: Client, token: str) -> None:
    with faulty(CONTENT) as server, pytest.raises(Unavailable) as raised:
        client.get(server.url(), token=token)
    assert "the address, or the token for it, is not valid" in str(raised.value)
    assert "sec" not in str(raised.value)
    assert server.requests == []


def test_a_detour_over_http_is_refused(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """https, http, https: whoever is on the way could have changed the second address."""
    certificate = self_signed(tmp_path / "certificate.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with faulty(CONTENT, certificate=certificate) as secure, faulty(b"", redirect(secure.url("b"))) as plain:
        secure.script.append(redirect(plain.url()))
        assert client.refused(secure.url()).startswith(f"redirects from https to {plain.url()}, which anybody")
        secure.script.append(redirect(secure.url("c")))
        assert client.get(secure.url()) == CONTENT


def test_a_redirected_download_is_resumed(client: Client) -> None:
    """As from Hugging Face: each try begins at the first address, since the second one is signed and does not last."""
    with faulty(CONTENT, cut(400_000)) as store, faulty(b"") as front:
        front.script += [redirect(store.url(), X_Linked_Etag=f'"{SHA256}"')] * 2
        assert client.get(front.url()) == CONTENT
    assert [request.start for request in store.requests] == [None, 400_000]


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/a", "file:///etc/hostname", "http://["])
def test_a_redirect_to_nowhere(client: Client, target: str) -> None:
    with faulty(CONTENT, redirect(target)) as server:
        assert client.refused(server.url())
        assert len(server.requests) == 1


def test_a_whole_file_is_kept_while_it_is_the_servers(client: Client) -> None:
    with faulty(CONTENT) as server:
        client.get(server.url())
        assert client.get(server.url()) == CONTENT
        assert server.requests[-1].headers["if-none-match"] == '"one"'
        assert server.sent == len(CONTENT)
        assert client.get(server.url(), expected=SHA256) == CONTENT  # known by its digest: nobody is asked
        assert len(server.requests) == 2
        server.resource = Resource(CONTENT[::-1], '"two"')
        assert client.get(server.url()) == CONTENT[::-1]


def test_a_good_file_stays_until_the_new_one_is_whole(client: Client) -> None:
    with faulty(CONTENT) as server:
        client.get(server.url())
        server.resource = Resource(CONTENT[::-1], '"two"')
        server.script += [cut(500_000), *[status(500)] * 5]
        with pytest.raises(Unavailable):
            client.get(server.url())
        assert [path.read_bytes() for path in client.files(server.url())] == [CONTENT]
        assert client.get(server.url()) == CONTENT[::-1]
        assert server.requests[-1].start == 500_000


def test_a_file_damaged_in_the_cache_is_got_again(client: Client) -> None:
    with faulty(CONTENT) as server:
        client.get(server.url())
        (path,) = client.files(server.url())
        path.write_bytes(CONTENT[:-1] + b"x")
        assert client.get(server.url(), expected=SHA256) == CONTENT
        assert len(server.requests) == 2


@pytest.mark.parametrize("text", ["", "{", '{"url": 1, "new": 2}'])
def test_a_record_that_cannot_be_read_starts_anew(client: Client, text: str) -> None:
    with faulty(CONTENT, cut(500_000)) as server:
        Client(client.folder, tries=1).refused(server.url())
        (path,) = client.folder.rglob("part.json")
        path.write_text(text)
        assert client.get(server.url()) == CONTENT
        assert server.requests[-1].start is None


def test_parallel_downloads_of_a_file_don_t_collide(tmp_path: Path) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def slow(handler: Handler, resource: Resource) -> None:
        stalling(300_000, reached, go_on)(handler, resource)

    with faulty(CONTENT, slow) as server, ThreadPoolExecutor(5) as pool:
        first = pool.submit(Client(tmp_path).get, server.url())
        assert reached.wait(60)
        others = [pool.submit(Client(tmp_path).get, server.url()) for _ in range(4)]
        go_on.set()
        assert all(one.result() == CONTENT for one in [first, *others])
        assert server.sent == len(CONTENT)  # each byte once


CLIENT = """
import sys
from pathlib import Path
from pipeline.download.obtain import Access, obtain_file
with obtain_file(sys.argv[1], Access(Path(sys.argv[2])), "get") as file:
    print(file.sha256)
"""


def run_client(server: Faulty, folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", CLIENT, server.url(), str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def test_kills_at_random_points(tmp_path: Path) -> None:
    """One download, killed again and again; what came before is never fetched again."""
    points = sorted(random.Random(0).sample(range(1, len(CONTENT)), 12))
    with faulty(CONTENT) as server:
        for point in points:
            reached, go_on = threading.Event(), threading.Event()
            server.script.append(stalling(point, reached, go_on))
            process = run_client(server, tmp_path)
            assert reached.wait(60)
            process.kill()
            assert process.wait() == -9
            assert process.stdout
            process.stdout.close()
            go_on.set()
            assert not Client(tmp_path).files(server.url())
        done = run_client(server, tmp_path)
        assert done.communicate(timeout=60)[0].strip() == SHA256
    starts = [request.start or 0 for request in server.requests]
    assert len(starts) == len(points) + 1
    assert starts == sorted(starts)
    assert all(start <= point for start, point in zip(starts[1:], points, strict=True))


def test_memory_stays_flat(tmp_path: Path) -> None:
    size = 300_000_000

    def large(handler: Handler, resource: Resource) -> None:
        handler.answer(200, resource, Content_Length=size)
        for _ in range(size // 1_000_000):
            handler.body(CONTENT[:1_000_000])

    # Not getrusage's: Linux hands the peak of the process that started this one on to it.
    code = f"{CLIENT}\nprint(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    with faulty(CONTENT, large) as server:
        command = [sys.executable, "-c", code, server.url(), str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=110)
    assert int(done.stdout.split()[1]) * 1024 < 200e6


def test_offline_fails_fast_and_takes_what_is_there(tmp_path: Path) -> None:
    with faulty(CONTENT) as server:
        url, offline = server.url(), Access(tmp_path, offline=True)
        with (
            pytest.raises(Unavailable, match=r"OFFLINE=1, and the cache .* does not have it"),
            obtain_file(url, offline, ""),
        ):
            pass
        assert server.requests == []
        with obtain_file(url, Access(tmp_path), ""):
            pass
    with obtain_file(url, offline, "") as file:
        assert file.path.read_bytes() == CONTENT
    file.path.write_bytes(b"damaged")
    with pytest.raises(Unavailable, match="is damaged"), obtain_file(url, offline, ""):
        pass


@pytest.mark.parametrize(
    ("setting", "xdg", "folder"),
    [
        ("/c", "/x", "/c"),
        ("~/c", None, "/home/me/c"),
        (None, "/x", "/x/vit-publisher"),
        (None, None, "/home/me/.cache/vit-publisher"),
        (None, "relative", "/home/me/.cache/vit-publisher"),
    ],
)
def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, setting: str | None, xdg: str | None, folder: str) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if xdg:
        monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    assert cache.folder(setting) == Path(folder)


def test_a_full_disk_names_the_file(client: Client) -> None:
    """/dev/full answers every write as a full disk does; what the server has is not to blame."""
    with faulty(CONTENT) as server:
        with cache.open_entry(client.folder, server.url(), "get") as entry:
            entry.part_file.symlink_to("/dev/full")
        with pytest.raises(OSError, match="No space left") as raised:
            client.get(server.url())
    assert str(raised.value.filename).endswith("a.npz.part")
