"""Forms of secret addresses and answers of servers: no message, output or file has the secret."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.base.fault import Fault, Unavailable
from pipeline.checkpoints.section import Checkpoint
from pipeline.download.obtain import Access
from pipeline.download.retry import Retries, TryAgain
from pipeline.fetch import Settings, fetch
from pipeline.pool import index
from pipeline.saved_model.remote import Downloads, open_model
from tests.base.test_addresses import SIGNED
from tests.faulty_server import Behaviour, Handler, Resource, cut, faulty, good, redirect, status

# What stands before the host, and after the path.
FORMS = (
    *(("", f"?{query}") for query in SIGNED),
    *(("", end) for end in ("?secret", "?any=secret", ";token=secret", "#secret", "?download=1&key=secret#secret")),
    *((f"{start}@", "") for start in ("me:secret", "secret", ":secret", "me:sec%2Fret-secret", "me:secret@you:secret")),
    *((f"{start}@", "") for start in ("me:secret/x", "me:secret?x", "me:secret#x", "me:secret\n", "me:\u20acsecret")),
)


def broken(handler: Handler, resource: Resource) -> None:
    handler.wfile.write(b"HTTP/1.1 999999 x\r\n\r\n")


def back(handler: Handler, resource: Resource) -> None:
    """Redirects to the same signed address."""
    redirect(handler.path)(handler, resource)


ANSWERS: tuple[Behaviour, ...] = (
    *(status(code) for code in (401, 404, 503)),
    *(good, cut(3), cut(3, reset=True), broken, back),
    *(redirect(f"{scheme}://me:secret@127.0.0.1:1/a?sig=secret&x=secret") for scheme in ("http", "https", "ftp", "x")),
    *(redirect(place) for place in ("http://[me:secret@a?sig=secret", "//me:secret@127.0.0.1:1/a?token=secret#secret")),
)


def take_checkpoint(address: str, folder: Path) -> None:
    fetch(
        Checkpoint("a", (address,)), folder, folder / "a.npz", Settings(None, folder / "lock", Access(folder / "cache"))
    )


def take_index(address: str, folder: Path) -> None:
    index.load(address, folder / "index.csv", folder / "cache")


def take_model(address: str, folder: Path) -> None:
    with open_model(address, "MODULE", Downloads(folder / "cache")):
        pass


def give_up(self: Retries, failure: TryAgain, size: int, length: int | None) -> None:
    raise Unavailable(f"{failure}; given up")


@pytest.mark.parametrize("take", [take_checkpoint, take_index, take_model])
def test_no_answer_brings_out_a_secret(
    take: Callable[[str, Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Each answer meets several forms."""
    monkeypatch.setattr(Retries, "pause_after", give_up)
    with faulty(b"no checkpoint, index or model") as server:
        for number, (before_host, after_path) in enumerate(FORMS):
            server.script[:] = [ANSWERS[number % len(ANSWERS)]] * 40
            with pytest.raises(Fault) as raised:
                take(f"{server.url('a.npz').replace('://', f'://{before_host}')}{after_path}", tmp_path)
            assert "secret" not in str(raised.value), (before_host, after_path)
    assert "secret" not in "".join(capfd.readouterr())
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"secret" in path.read_bytes()]
