"""reproduce: makes a published module again from its statement and its checkpoint, and compares the two.

    python -m pipeline.reproduce MODULE [--hub HUB] [--checkpoints FOLDER_OR_URL] [--cache FOLDER] [--offline] [--fresh]
                                 [--json]

MODULE is a handle of HUB, a hub's folder or address followed by a handle, or a tarball with provenance.dsse.json beside
it. Prints one of three verdicts, and what differs: same bytes (exit status 0); same weights, another graph; different
(both 1, as when it cannot be made again). The environment at hand is used where it has the recorded versions; else, or
with --fresh, one is made of the lock file that the hub stores.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.command import command
from pipeline.base.fault import Fault
from pipeline.base.program import program
from pipeline.download import cache
from pipeline.rebuilding.comparison import Comparison, Outcome, compare_tarballs
from pipeline.rebuilding.environment import Environment, choose
from pipeline.rebuilding.published import Published, open_published
from pipeline.rebuilding.recipe import Recipe, read_recipe, refuse_other_checkpoint, write_member
from pipeline.saved_model.remote import Downloads


@dataclass(frozen=True)
class Settings:
    """The settings of the command.

    Attributes:
        hub: the hub of a handle, a folder or an address.
        checkpoints: a folder or address to try first for the checkpoint, or None.
        downloads: where downloads go.
        is_fresh: whether to make an environment in any case.
    """

    hub: str
    checkpoints: str | None
    downloads: Downloads
    is_fresh: bool


@dataclass(frozen=True)
class Result:
    """What came of a rebuild: of which module, the comparison, and what it was made with."""

    handle: str
    comparison: Comparison
    environment: Environment

    @property
    def sentence(self) -> str:
        """The verdict, what differs and why that may be."""
        comparison, environment = self.comparison, self.environment
        text = f"{self.handle}: {comparison.outcome}: {comparison.sentence}; made with {environment.description}"
        if comparison.outcome is Outcome.SAME_BYTES or not environment.differences:
            return text
        return f"{text}; {'; '.join(environment.differences)}"

    def to_json(self) -> str:
        document = {
            "handle": self.handle,
            "verdict": self.comparison.outcome,
            "published_sha256": self.comparison.published,
            "rebuilt_sha256": self.comparison.rebuilt,
            "differing_files": self.comparison.files,
            "made_with": self.environment.description,
            "differences": self.environment.differences,
        }
        return json.dumps(document, indent=2)


def reproduce(name: str, settings: Settings) -> Result:
    """Makes a published module again.

    Args:
        name: see open_published().
        settings: the settings.

    Raises:
        Fault: when it cannot be found or made again.
    """
    with (
        open_published(name, settings.hub, settings.downloads) as published,
        tempfile.TemporaryDirectory(prefix="reproduce-") as temporary,
    ):
        folder = Path(temporary)
        recipe = read_recipe(published)
        environment = choose(published.statement, published.lock, folder, settings.downloads.cache, settings.is_fresh)
        tarball = _rebuild(published, recipe, environment, folder, settings)
        return Result(published.statement.handle, compare_tarballs(published.tarball, tarball), environment)


def _rebuild(published: Published, recipe: Recipe, environment: Environment, folder: Path, settings: Settings) -> Path:
    """Fetches, converts and packs; returns the tarball."""
    member, out = write_member(recipe, folder / "members"), folder / recipe.member
    checkpoint, tarball = out / "checkpoint.npz", out / f"{recipe.head}.tar.gz"
    options = [f"--lock={folder / 'checkpoints.lock'}", f"--cache={settings.downloads.cache}"]
    options += ["--offline"] if settings.downloads.offline else []
    options += ["--checkpoints=env:CHECKPOINTS"] if settings.checkpoints else []
    environment.run("fetch", member, checkpoint, *options, CHECKPOINTS=settings.checkpoints or "")
    refuse_other_checkpoint(recipe, checkpoint)
    environment.run("convert", member, checkpoint, out)
    environment.run("package", out / recipe.head, tarball)
    return tarball


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog=program("reproduce"), description="Makes a published module again.")
    parser.add_argument("module", help="a handle, <hub>/<handle>, or a .tar.gz")
    parser.add_argument("--hub", default="artifacts/hub", help="the hub of a handle, a folder or an address")
    parser.add_argument("--checkpoints", help="a folder or address to try first for the checkpoint")
    cache.add_options(parser)
    parser.add_argument("--fresh", action="store_true", help="make a new environment from the recorded lock file")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    args = parser.parse_args(arguments)
    downloads = Downloads(cache.folder(args.cache), args.offline)
    result = reproduce(args.module, Settings(args.hub, args.checkpoints, downloads, args.fresh))
    if args.json:
        print(result.to_json())
    if result.comparison.outcome is not Outcome.SAME_BYTES:
        raise Fault(result.sentence)
    if not args.json:
        print(result.sentence)
    return result.handle


if __name__ == "__main__":
    raise SystemExit(command("reproduce", main))
