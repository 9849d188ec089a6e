"""A build for tests: what convert leaves of the member `mini`."""

from dataclasses import replace
from pathlib import Path

from pipeline.base.heads import Head
from pipeline.facts.report import load_report
from pipeline.trust.builder import BUILDER, Build, Source, lock_digest

BUILD = Build(
    started="2026-11-29T01:02:03Z",
    builder=BUILDER,
    source=Source("a" * 40, True, "https://git.example.org/vit.git", "b" * 64),
    lock_sha256=lock_digest(),
    versions={"vit-publisher": "0.2.0", "python": "3.11.7", "jax": "0.10.2"},
    member="mini",
    checkpoint={"name": "mini", "source": "mini.npz", "sha256": "c" * 64, "arrays_sha256": "d" * 64, "image_size": 24},
    model={"variant": "Mini/8", "image_size": 16, "classes": 3, "dropout": 0.0},
    contents={},
)


def build_of(folder: Path) -> Build:
    """Returns BUILD for the modules of a folder that has their report."""
    modules = load_report(folder / "report.json").modules
    return replace(BUILD, contents={str(head): modules[head].content_sha256 for head in Head})
