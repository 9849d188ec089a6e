"""fetch: a member's checkpoint, from the first source that has it.

    python -m pipeline.fetch MEMBER.yaml OUT [--checkpoints FOLDER_OR_URL] [--lock FILE] [--cache FOLDER] [--offline]

writes OUT, an .npz in the AugReg layout, and checkpoint.json beside it, which says where it comes from
(pipeline.checkpoints.provenance). Every source must have the same arrays: what is downloaded first is recorded in the
collection's lock file (pipeline.checkpoints.lock_file), and other weights are refused from then on. A file that the
user brings, from CHECKPOINTS= or a path, is held against the lock file too but adds nothing to it: it is no download,
and may be one of random weights for a trial.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from pipeline.base.command import command
from pipeline.base.fault import Fault, Forbidden, NotCached, Unavailable, Unreachable, shown
from pipeline.base.files import replacing, sha256_of
from pipeline.base.yaml_sections import Member
from pipeline.checkpoints import identify, lock_file, provenance
from pipeline.checkpoints.digest import arrays_digest, write_npz
from pipeline.checkpoints.lock_file import LockFile
from pipeline.checkpoints.provenance import TIMM, Origin
from pipeline.checkpoints.section import Checkpoint, Source, list_sources
from pipeline.download import cache
from pipeline.download.address import is_remote, local_path
from pipeline.download.checksums import copy
from pipeline.download.obtain import Access, obtain_file

CLOSED_BUCKET = ("gs://vit_models/", "https://storage.googleapis.com/vit_models/")


@dataclass(frozen=True)
class Settings:
    """What a command says of where things are.

    Attributes:
        checkpoints: a folder or URL that holds files under their upstream names and is tried first, or None.
        lock: the lock file.
        access: how files of other machines are had.
    """

    checkpoints: str | None
    lock: Path
    access: Access


def _convert(path: Path, out: BinaryIO) -> None:
    from pipeline.checkpoints import timm  # only where it is needed

    write_npz(out, timm.augreg_arrays(path))


def _is_timm(source: Source) -> bool:
    return urlsplit(source.address).path.endswith(".safetensors")


class _Broken(Fault):
    """The file itself is no good, whatever is pinned."""


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except Fault as fault:
        raise _Broken(str(fault)) from fault


def _take(
    path: Path, sha256: str | None, out: BinaryIO, source: Source, checkpoint: Checkpoint, lock: LockFile, cards: Path
) -> Origin:
    """Writes one source's file to `out` as an .npz, refusing what is not pinned; returns what is known of it.

    Args:
        path: the source's file on this machine.
        sha256: its digest where it has just been taken.
        out: the .npz to write, empty.
        source: the source, for messages and records.
        checkpoint: the section, for its name, pinned digest and sources.
        lock: the lock file.
        cards: the folder of all collections, which may tell whose checkpoint a refused file is.
    """
    if not path.is_file():
        raise Unavailable("no such file")
    try:
        return _accept(path, sha256, out, source, checkpoint, lock)
    except _Broken:
        raise
    except Fault as fault:
        npz = Path(out.name) if _is_timm(source) else path
        raise Fault(f"{fault}{identify.remark(path, npz, cards, lock.path, checkpoint.name)}") from None


def _accept(
    path: Path, sha256: str | None, out: BinaryIO, source: Source, checkpoint: Checkpoint, lock: LockFile
) -> Origin:
    label, place = f"fetch {Path(out.name).parent.name}", shown(source.address)
    if _is_timm(source):
        found = sha256 or sha256_of(path)
        lock.check_file(checkpoint.name, source.name, found)
        with _reading():
            _convert(path, out)
    else:
        found = copy(path, out, label)
        if checkpoint.sha256 not in (None, found):
            raise Fault(
                f"{place}: wrong sha256: expected {checkpoint.sha256}, got {found}; nothing was kept. Either the file"
                " is damaged: get it again; or it is another checkpoint: correct checkpoint.sha256 if it is the one you"
                " mean"
            )
        lock.check_file(checkpoint.name, source.name, found)
    out.flush()
    written = Path(out.name)
    with _reading():
        digest = arrays_digest(written, place)
    lock.check_arrays(checkpoint.name, place, digest)
    if is_remote(source.address) and not source.is_from_user:
        lock.record(checkpoint.name, source.name, found, digest)
        name = source.name
    else:
        name = _known(found, checkpoint, lock) or source.name
    if _is_timm(source):
        return Origin(source.name, sha256_of(written), digest, TIMM, found)
    return Origin(name, found, digest)


def _known(sha256: str, checkpoint: Checkpoint, lock: LockFile) -> str | None:
    """Returns the first of the member's sources whose file is byte for byte this one, as the lock file knows it.

    A file of the user that is such a copy is that source's file, whoever brought it.
    """
    files = lock.pin_of(checkpoint.name).files
    names = (shown(source.replace("{name}", checkpoint.name)) for source in checkpoint.sources)
    return next((name for name in names if files.get(name) == sha256), None)


def fetch(checkpoint: Checkpoint, home: Path, out: Path, settings: Settings) -> Source:
    """Puts the checkpoint at `out`, with its record beside it, from the first source that has it; returns that source.

    Raises:
        Fault: when no source has it, each listed with its reason, or the first that does has a damaged or wrong file.
    """
    reasons: dict[Source, Unavailable] = {}
    for source in list_sources(checkpoint, home, settings.checkpoints):
        try:
            with replacing(out) as stream:
                provenance.write(out, _from(source, checkpoint, stream, settings, home.parent))
            return source
        except Unavailable as reason:
            reasons[source] = reason
    raise Fault(_nowhere(checkpoint, reasons))


def _from(source: Source, checkpoint: Checkpoint, out: BinaryIO, settings: Settings, cards: Path) -> Origin:
    """Writes one source's file to `out` as an .npz and returns what is known of it; raises Unavailable or Fault."""
    lock = LockFile(settings.lock)
    pin = lock.pin_of(checkpoint.name)
    if _is_timm(source) and checkpoint.sha256 is not None and pin.arrays is None:
        raise Unavailable(
            "not taken: checkpoint.sha256 is the digest of upstream's .npz file, which says nothing of timm's file, and"
            f" {settings.lock} has no digest of the arrays; fetch the .npz file from its address once, or remove"
            " checkpoint.sha256"
        )
    if not is_remote(source.address):
        return _take(local_path(source.address), None, out, source, checkpoint, lock, cards)
    expected = pin.files.get(source.name) or (None if _is_timm(source) else checkpoint.sha256)
    label = f"fetch {Path(out.name).parent.name}"
    with obtain_file(source.address, settings.access, label, expected) as file:
        try:
            return _take(file.path, file.sha256, out, source, checkpoint, lock, cards)
        except _Broken:
            # Else the next fetch would take it up again. A wrong pin is no reason: the file may be the good one.
            if not settings.access.offline:
                file.discard()
            raise


def _ways(checkpoint: Checkpoint, reasons: dict[Source, Unavailable]) -> list[str]:
    """Returns what can be done about it, each of use in view of the reasons: nobody lacks credentials when offline."""
    kinds = {type(reason) for reason in reasons.values()}
    hosts = {type(reason) for source, reason in reasons.items() if is_remote(source.address)}
    ways = []
    if NotCached in kinds:
        ways.append("leave OFFLINE=1 out, which keeps fetch from the network;")
    if hosts == {Unreachable}:  # else the network works, and one of them is down
        ways.append(
            "see to this machine's network (it may need HTTPS_PROXY=<its proxy>) and run the same command again;"
        )
    ways.append(f"put a copy, {checkpoint.name}.npz, into a folder and say CHECKPOINTS=<folder>, or its URL;")
    if _bucket_is_closed(reasons):
        ways.append(
            "with Google credentials that may read the bucket, run gcloud auth application-default login, or set"
            " CLOUDSDK_AUTH_ACCESS_TOKEN to what gcloud auth print-access-token prints;"
        )
    if kinds - {NotCached, Unreachable} or not kinds:
        ways.append(
            "take a member with a copy of timm's on Hugging Face (an hf: address in its checkpoint.sources), or add an"
            " address of your own there;"
        )
    return ways


def _bucket_is_closed(reasons: dict[Source, Unavailable]) -> bool:
    return any(
        source.address.startswith(CLOSED_BUCKET) and isinstance(reason, Forbidden) for source, reason in reasons.items()
    )


def _nowhere(checkpoint: Checkpoint, reasons: dict[Source, Unavailable]) -> str:
    """Returns the message for when no source has the file: each with its own reason, and the ways out."""
    lines = [f"no source has the checkpoint {checkpoint.name}.npz. Tried:"]
    lines += [f"  {shown(source.address)}: {reason}" for source, reason in reasons.items()]
    if not reasons:
        lines.append("  nothing: checkpoint.sources is empty")
    if _bucket_is_closed(reasons):
        lines.append(
            "The bucket gs://vit_models has been closed to anonymous readers since February 2026: it answers HTTP 403"
            " (google-research/vision_transformer, issue 321)."
        )
    ways = [f"({number}) {way}" for number, way in enumerate(_ways(checkpoint, reasons), start=1)]
    lines.append("Ways out: " + "\n  ".join(ways).removesuffix(";") + ".")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m pipeline.fetch", description="Fetches a member's checkpoint.")
    parser.add_argument("member", type=Path, help="the member's YAML file")
    parser.add_argument("out", type=Path, help="the checkpoint to write")
    parser.add_argument("--checkpoints", help="a folder or URL to try first")
    lock_file.add_option(parser)
    cache.add_options(parser)
    args = parser.parse_args(arguments)
    member = Member(args.member)
    checkpoint = member.section("checkpoint", Checkpoint)
    access = Access(cache.folder(args.cache), args.offline)
    settings = Settings(args.checkpoints or None, lock_file.locate(member.folder, args.lock), access)
    source = fetch(checkpoint, member.folder, args.out, settings)
    return f"{member.name} from {shown(source.address)}"


if __name__ == "__main__":
    raise SystemExit(command("fetch", main))
