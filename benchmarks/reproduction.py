"""Makes the published demo again in a new environment, from the lock file that its hub stores.

    python -m benchmarks.reproduction FOLDER

Publishes vit_demo into FOLDER, then runs `make reproduce` for both of its modules from that hub, with
FRESH=1: an environment is installed from the stored lock file. The bytes must be the same. Then a module with an edited
graph and one with edited weights must get the other two verdicts, with the environment at hand.

Needs a package index; the environment takes some minutes and 3 GB.
"""

import argparse
import dataclasses
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.fresh_install import publish_demo
from pipeline.base.command import guarded
from pipeline.base.fault import Fault
from pipeline.base.files import sha256_of
from pipeline.base.heads import Head
from pipeline.package import package
from pipeline.rebuilding.comparison import Outcome
from pipeline.saved_model.opening import open_folder
from pipeline.trust.envelope import Envelope, render_envelope
from pipeline.trust.provenance import read_statement
from pipeline.trust.statement import render_statement, statement_path

ROOT = Path(__file__).parents[1]
MEMBER = "vit-publisher/vit_demo"


def reproduce(hub: Path, handle: str, cache: Path, is_fresh: bool) -> tuple[int, str]:
    """Runs make reproduce; returns its exit status and what it prints."""
    settings = [f"PYTHON={sys.executable}", f"HUB={hub}", f"CACHE={cache}", f"FRESH={int(is_fresh)}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "reproduce", f"MODULE={handle}", *settings],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def expect(outcome: Outcome, hub: Path, handle: str, cache: Path, is_fresh: bool = False) -> None:
    """Raises Fault unless a module of a hub gets a verdict; prints it with the seconds."""
    started = time.monotonic()
    status, output = reproduce(hub, handle, cache, is_fresh)
    if f"{handle}: {outcome}: " not in output or (status == 0) != (outcome is Outcome.SAME_BYTES):
        raise Fault(f"{handle}: expected '{outcome}', got exit status {status} and:\n{output[-3000:]}")
    print(f"{handle}: {outcome}, {time.monotonic() - started:.0f} s", flush=True)


def edit_module(hub: Path, handle: str, file: str) -> None:
    """Appends a byte to a file in a module's tarball, and makes its statement be about that."""
    tarball, statement = hub / f"{handle}.tar.gz", read_statement(hub, handle)
    if statement is None:
        raise Fault(f"{hub}/{handle}: no statement")
    with open_folder(tarball) as (folder, _):
        with (folder / file).open("ab") as stream:
            stream.write(b"\0")
        package(folder, tarball)
    edited = dataclasses.replace(statement, sha256=sha256_of(tarball))
    (hub / statement_path(handle)).write_bytes(render_envelope(Envelope(render_statement(edited))))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reproduction", description="Makes the demo again.")
    parser.add_argument("folder", type=Path, help="gets the hub, the cache and the environment")
    folder = parser.parse_args().folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "hub").mkdir(parents=True)
    publish_demo(folder, "http://localhost:8080")
    cache = folder / "cache"
    for head in Head:
        expect(Outcome.SAME_BYTES, folder / "hub", f"{MEMBER}_{head}/2", cache, is_fresh=True)
    edit_module(folder / "hub", f"{MEMBER}_{Head.CLASSIFICATION}/2", "saved_model.pb")
    expect(Outcome.SAME_WEIGHTS, folder / "hub", f"{MEMBER}_{Head.CLASSIFICATION}/2", cache)
    edit_module(folder / "hub", f"{MEMBER}_{Head.FE}/2", "variables/variables.data-00000-of-00001")
    expect(Outcome.DIFFERENT, folder / "hub", f"{MEMBER}_{Head.FE}/2", cache)


if __name__ == "__main__":
    raise SystemExit(guarded("reproduction", main))
