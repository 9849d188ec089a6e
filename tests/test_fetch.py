"""fetch against real folders and a real HTTP server."""

import hashlib
import http.server
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.fault import Fault
from pipeline.fetch import Checkpoint, fetch
from tests.conftest import serving, serving_folder


def archive(content: bytes = b"weights") -> bytes:
    """Returns a small zip archive, which is what an npz is, with a fixed time: two calls give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        out.writestr(zipfile.ZipInfo("a.npy"), content)
    return buffer.getvalue()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The target, with an earlier checkpoint in place."""
    path = tmp_path / "artifacts/m/checkpoint.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"earlier")
    return path


def refuse(checkpoint: Checkpoint, home: Path, out: Path, checkpoints: str | None = None) -> str:
    """Fetches, expects a fault and that the earlier file is untouched and alone; returns the message."""
    with pytest.raises(Fault) as raised:
        fetch(checkpoint, home, out, checkpoints)
    assert out.read_bytes() == b"earlier"
    assert list(out.parent.iterdir()) == [out]
    return str(raised.value)


def test_relative_path_counts_from_the_yaml_file(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.npz").write_bytes(archive())
    assert fetch(Checkpoint("a", ("{name}.npz",)), tmp_path, out, None) == str(tmp_path / "a.npz")
    assert out.read_bytes() == archive()


def test_file_url_with_spaces(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a b.npz").write_bytes(archive())
    fetch(Checkpoint("a", ((tmp_path / "a b.npz").as_uri(),)), tmp_path, out, None)
    assert out.read_bytes() == archive()


def test_the_users_folder_comes_first(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.npz").write_bytes(archive(b"theirs"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a.npz").write_bytes(archive(b"mine"))
    fetch(Checkpoint("a", ("a.npz",)), tmp_path, out, str(tmp_path / "mine"))
    assert out.read_bytes() == archive(b"mine")


def test_http_after_a_source_that_lacks_the_file(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.npz").write_bytes(archive())
    with serving_folder(tmp_path) as address:
        checkpoint = Checkpoint("a", ("missing.npz", f"{address}/{{name}}.npz"))
        assert fetch(checkpoint, tmp_path, out, None) == f"{address}/a.npz"
    assert out.read_bytes() == archive()


def test_pinned_digest_is_checked(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.npz").write_bytes(archive())
    right = hashlib.sha256(archive()).hexdigest()
    message = refuse(Checkpoint("a", ("a.npz",), "0" * 64), tmp_path, out)
    assert f"wrong sha256: expected {'0' * 64}, got {right}" in message
    fetch(Checkpoint("a", ("a.npz",), right), tmp_path, out, None)


def test_every_source_is_listed_with_its_reason(tmp_path: Path, out: Path) -> None:
    with serving_folder(tmp_path) as address:
        gone = f"{address}/gone.npz"
        message = refuse(Checkpoint("a", ("b.npz", gone)), tmp_path, out, str(tmp_path / "mine"))
    assert f"{tmp_path}/mine/a.npz: no such file" in message
    assert f"{tmp_path}/b.npz: no such file" in message
    assert f"{gone}: HTTP 404" in message
    assert "CHECKPOINTS=<folder>" in message


def test_unreachable_host(tmp_path: Path, out: Path) -> None:
    with serving_folder(tmp_path) as address:
        pass  # closed again: nobody listens on its port now
    assert "Connection refused" in refuse(Checkpoint("a", (f"{address}/a.npz",)), tmp_path, out)


@pytest.mark.parametrize("content", [archive()[:-30], b"", b"<html>Sign in</html>"])
def test_what_is_no_whole_archive_is_refused(tmp_path: Path, out: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    assert "not a whole .npz file" in refuse(Checkpoint("a", ("a.npz",)), tmp_path, out)


def test_flipped_bit_is_refused(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.npz").write_bytes(archive().replace(b"weights", b"weighty"))
    assert "the array 'a.npy' is damaged" in refuse(Checkpoint("a", ("a.npz",)), tmp_path, out)


def test_a_damaged_compressed_archive_is_refused(tmp_path: Path, out: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as written:
        written.writestr("a.npy", np.random.default_rng(0).bytes(2000))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[200:260] = bytes(60)
    (tmp_path / "a.npz").write_bytes(content)
    assert "a.npz: " in refuse(Checkpoint("a", ("a.npz",)), tmp_path, out)


def test_unknown_schemes_of_the_users_place_are_refused(tmp_path: Path, out: Path) -> None:
    message = refuse(Checkpoint("a", ("a.npz",)), tmp_path, out, "gs://bucket/augreg")
    assert "CHECKPOINTS: 'gs://bucket/augreg/a.npz' has the unknown scheme 'gs'" in message


def test_the_users_home_is_understood(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """make hands `CHECKPOINTS=~/augreg` on as it stands."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "augreg").mkdir()
    (tmp_path / "augreg/a.npz").write_bytes(archive())
    fetch(Checkpoint("a", ()), tmp_path / "elsewhere", out, "~/augreg")
    assert out.read_bytes() == archive()


def answering(
    respond: Callable[[http.server.BaseHTTPRequestHandler], None],
) -> type[http.server.BaseHTTPRequestHandler]:
    """Returns a handler whose GET does `respond`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            respond(self)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    return Handler


def test_short_body_is_refused(tmp_path: Path, out: Path) -> None:
    def respond(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(archive())))
        handler.end_headers()
        handler.wfile.write(archive()[:20])

    with serving(answering(respond)) as address:
        message = refuse(Checkpoint("a", (f"{address}/a.npz",)), tmp_path, out)
    assert "20" in message
    assert str(len(archive())) in message or f"{len(archive()) - 20} more expected" in message


def test_plain_bytes_are_asked_for(tmp_path: Path, out: Path) -> None:
    asked: list[str | None] = []

    def respond(handler: http.server.BaseHTTPRequestHandler) -> None:
        asked.append(handler.headers["Accept-Encoding"])
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(archive())

    with serving(answering(respond)) as address:
        fetch(Checkpoint("a", (f"{address}/a.npz",)), tmp_path, out, None)
    assert asked == ["identity"]
