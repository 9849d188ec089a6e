"""Writes a copy of the project with a made-up collection of any size, whose members count as published.

make add's code writes the members' YAML files, for rows of a made-up index of the pool. Their outputs are empty files
of the right times and names; what make reads of them (records of checkpoints and formats, receipts, the hub's index) is
as the stages write it, and the hub's files have the listed sizes, as holes.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks import synthetic_hub, synthetic_index
from pipeline import add
from pipeline.base.heads import Head
from pipeline.base.verification import Verification
from pipeline.checkpoints import provenance
from pipeline.checkpoints.lock_file import NAME, Pin
from pipeline.checkpoints.provenance import Origin
from pipeline.facts.formats import Formats, formats_text
from pipeline.pool import index
from tests.conftest import copy_project
from tests.reports import REPORT

ROOT = Path(__file__).parents[1]
COLLECTION = "pool"
PUBLISHER = "sayakpaul"  # of model_cards/vit, which synthetic_hub reads
# Outputs whose content make never reads.
EMPTY = (
    "checkpoint.npz", "classification/saved_model.pb", "fe/saved_model.pb", "build.json", "report.json",
    "kaggle/model-metadata.json",
    *(
        f"{head}{suffix}" for head in Head
        for suffix in (".md", ".huggingface.md", ".tar.gz", ".tar.gz.sha256")
    ),
    *(f"kaggle/{head}/model-instance-metadata.json" for head in Head),
)  # fmt: skip


def member_name(number: int) -> str:
    """Returns the name of a member, as synthetic_hub calls it."""
    return f"vit_{number:04}"


def write(tree: Path, members: int) -> None:
    """Writes the tree; its members need nothing to be done.

    Args:
        tree: the folder, which must not exist.
        members: how many, up to 50,000.
    """
    copy_project(tree)
    names = _write_members(tree / "model_cards", members)
    _write_hub(tree, members)
    planned = run_make(tree, "-n", "publish-all", f"COLLECTION={COLLECTION}")  # writes the stamps
    if planned.returncode:
        raise SystemExit(planned.stderr)
    artifacts = tree / "artifacts"
    shards = [json.loads(path.read_text()) for path in (artifacts / "hub/index").glob("??.json")]
    listed = {name: entry for shard in shards for name, entry in shard["modules"].items()}
    for number, name in enumerate(names):
        _write_outputs(artifacts, member_name(number), name, listed)
    page = artifacts / "collections" / COLLECTION
    page.mkdir(parents=True)
    (page / "page.md").touch()
    (page / "published.json").write_text(json.dumps({"hub": "artifacts/hub", "published": {}}))
    _set_times(artifacts)


def run_make(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs make in the tree, with this interpreter and without the settings of another make."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", f"PYTHON={sys.executable}", *arguments]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


def _write_members(cards: Path, members: int) -> list[str]:
    """Writes the collection and its lock file; returns the checkpoints' names."""
    shutil.copytree(ROOT / "model_cards/labels", cards / "labels")
    shutil.copytree(ROOT / "model_cards/vit", cards / "vit")
    for path in (cards / "vit").glob("vit_*.yaml"):
        path.unlink()
    table = cards.parent / "index.csv"
    synthetic_index.write(table)
    pool = index.load(str(table), table, table.parent, offline=True)
    rows = pool.rows[:members]
    names, pool = [row.adapt_filename for row in rows], replace(pool, rows=rows)
    folder = cards / COLLECTION
    add.add(names[0], cards, COLLECTION, member_name(0), pool, None)
    for number, name in enumerate(names):  # add() compares each with all that are there
        (folder / f"{member_name(number)}.yaml").write_text(
            add.open_candidate(name, None, pool).draft_member(folder, cards)
        )
    path = folder / "collection.yaml"
    path.write_text(path.read_text().replace("id: vit-publisher", f"id: {PUBLISHER}"))
    pins = {name: asdict(Pin("0" * 64, {f"gs://vit_models/augreg/{name}.npz": "0" * 64})) for name in names}
    (folder / NAME).write_text(json.dumps(pins, indent=2, sort_keys=True))
    return names


def _write_hub(tree: Path, members: int) -> None:
    hub = tree / "artifacts/hub"
    synthetic_hub.write(hub, len(Head) * members, REPORT, has_cards=False)
    for page in ("index.html", f"{PUBLISHER}/{PUBLISHER}.html"):
        (hub / page).touch()


def _write_outputs(artifacts: Path, member: str, checkpoint: str, listed: Mapping[str, Any]) -> None:
    """Writes the outputs of a member, and its files in the hub."""
    folder, hub = artifacts / member, artifacts / "hub"
    for name in EMPTY:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    source = f"gs://vit_models/augreg/{checkpoint}.npz"
    provenance.write(folder / "checkpoint.npz", Origin(source, "0" * 64, "0" * 64, Verification.DOWNLOADED))
    (folder / "formats.json").write_text(formats_text(Formats(member, {}, {}, {})))
    names = [f"{PUBLISHER}/{member}_{head}/1" for head in Head]
    ours = {name: listed[name] for name in names}
    (folder / "published.json").write_text(json.dumps({"hub": "artifacts/hub", "published": ours}))
    for name in names:
        (hub / f"{name}.html").parent.mkdir(parents=True, exist_ok=True)
        (hub / f"{name}.html").touch()
    for file in (file for entry in ours.values() for file in entry["files"]):
        (hub / file["path"]).parent.mkdir(parents=True, exist_ok=True)
        (hub / file["path"]).touch()
        os.truncate(hub / file["path"], file["size"])


def _set_times(artifacts: Path) -> None:
    """Gives all outputs the same time, which no stamp is newer than."""
    (artifacts / "now").touch()
    now = (artifacts / "now").stat().st_mtime_ns
    for path in artifacts.rglob("*"):
        if path.is_file() and ".stamps" not in path.parts:
            os.utime(path, ns=(now, now))
