"""fetch: gets a member's checkpoint from the first source that has it.

    python -m pipeline.fetch MEMBER.yaml OUT [--checkpoints FOLDER_OR_URL] [--lock FILE] [--cache FOLDER] [--offline]

writes OUT, an .npz with upstream's names, and checkpoint.json beside it, which says where it comes from
(pipeline.checkpoints.provenance). Every source must have the same arrays: a first download is recorded in the
collection's lock file (pipeline.checkpoints.lock_file), and other weights are refused from then on. A file that the
user brings, from CHECKPOINTS= or a path, is checked against the lock file but not recorded: it is no download, and may
hold random weights for a trial.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipeline.base.addresses import public_address
from pipeline.base.command import command
from pipeline.base.fault import Fault, Unavailable, UnusableFile
from pipeline.base.files import replacing
from pipeline.base.yaml_sections import Member
from pipeline.checkpoints import lock_file, provenance
from pipeline.checkpoints.lock_file import LockFile
from pipeline.checkpoints.no_source import describe_failure
from pipeline.checkpoints.provenance import Origin, read_record
from pipeline.checkpoints.section import Checkpoint, Source, list_sources
from pipeline.checkpoints.writer import CheckpointWriter
from pipeline.download import cache
from pipeline.download.address import is_remote, local_path
from pipeline.download.obtain import Access, obtain_file
from pipeline.model.architectures import is_own
from pipeline.model.section import architecture_of


@dataclass(frozen=True)
class Settings:
    """The settings of the command.

    Attributes:
        checkpoints: a folder or URL of files under their upstream names, tried first, or None.
        lock: the lock file.
        access: how remote files are downloaded.
        is_own: whether the architecture is a file of the member's own.
    """

    checkpoints: str | None
    lock: Path
    access: Access
    is_own: bool = False


def fetch(checkpoint: Checkpoint, home: Path, out: Path, settings: Settings) -> Source:
    """Writes the checkpoint to `out`, with its record beside it, from the first source that has it.

    Args:
        checkpoint: the member's section.
        home: the folder of the member's YAML file.
        out: the .npz to write.
        settings: the settings.

    Returns:
        The source that had it.

    Raises:
        Fault: when no source has it, with the reason of each, or when the first that does has a damaged or wrong file.
    """
    writer = CheckpointWriter(
        checkpoint, LockFile(settings.lock), home.parent, f"fetch {out.parent.name}", settings.is_own
    )
    reasons: dict[Source, Unavailable] = {}
    for source in list_sources(checkpoint, home, settings.checkpoints):
        try:
            with replacing(out) as stream:
                provenance.write(out, _write_from(source, writer, settings.access, stream))
            return source
        except Unavailable as reason:
            reasons[source] = reason
    raise Fault(describe_failure(checkpoint, reasons))


def _write_from(source: Source, writer: CheckpointWriter, access: Access, out: BinaryIO) -> Origin:
    """Writes one source's file to `out` as an .npz; see CheckpointWriter.write() for what it returns and raises."""
    writer.refuse_unverifiable(source)
    if not is_remote(source.address):
        return writer.write(source, local_path(source.address), out)
    with obtain_file(source.address, access, writer.label, writer.expected_sha256(source)) as file:
        try:
            return writer.write(source, file.path, out, file.sha256)
        except UnusableFile as fault:  # not WrongDigest: the pin may be wrong and the file the right one
            if access.offline:
                raise
            is_gone = file.discard()  # or the next fetch would use it again
            done = "was removed from the cache" if is_gone else "stays in the cache, which this user may not write"
            raise UnusableFile(f"{fault}; it {done}") from None


def describe_unverified(member: Path, origin: Origin, is_pinnable: bool) -> str | None:
    """Returns what unverified weights mean for the cards and how to pin them; None for verified ones.

    Args:
        member: its YAML file.
        origin: where the checkpoint comes from.
        is_pinnable: whether checkpoint.sha256 would be the digest of the source's file.
    """
    if origin.verification.is_verified:
        return None
    pin = f"write into the section checkpoint: sha256: {origin.source_sha256 or origin.sha256}"
    if not is_pinnable:  # sha256 is of upstream's file
        pin = "name its address on Hugging Face in checkpoint.sources (hf://timm/<model>/model.safetensors)"
    return (
        f"{member}: the weights are not verified: checkpoint.sha256 is not set, and the file is not from an address in"
        f" checkpoint.sources; the cards will say so and quote no accuracy. If it is the right file, {pin}"
    )


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
    lock = lock_file.locate(member.folder, args.lock)
    settings = Settings(args.checkpoints or None, lock, access, is_own(architecture_of(member.plain())))
    source = fetch(checkpoint, member.folder, args.out, settings)
    origin = read_record(args.out)
    if origin and (warning := describe_unverified(args.member, origin, checkpoint.is_pinnable(source))):
        print(f"fetch {member.name}: {warning}", file=sys.stderr)
    return f"{member.name} from {public_address(source.address)}"


if __name__ == "__main__":
    raise SystemExit(command("fetch", main))
