"""Measures publishing beside `cp` of the same tarballs, in one run; fails above 1.3 of its time or CPU time.

    python -m benchmarks.publishing [--modules 4] [--gigabytes 2.0] [--folder FOLDER]

The full case is `--modules 14 --gigabytes 7.2`. Tarballs of random bytes stand for packed modules; the record that
package writes says what they hold. Each goes into a new hub on the same disk, then is copied by cp into a folder there,
both with the files in the page cache. CPU time is that of processes and system calls, as of `time`.
"""

import argparse
import dataclasses
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

from pipeline.base.files import sha256_of
from pipeline.base.heads import Head
from pipeline.facts.report import load_report
from pipeline.saved_model.packing_record import write_record
from tests.reports import with_checks, write_report
from tests.test_publish import publish, write_member

LIMIT = 1.3  # of cp


def write_members(folder: Path, modules: int, size: int) -> list[Path]:
    """Writes members of two modules each, with tarballs of `size` bytes; returns their folders."""
    members = []
    for number in range(modules // len(Head)):
        member = write_member(folder / f"m{number}")
        report = load_report(member / "report.json")
        for head in Head:
            tarball = member / f"{head}.tar.gz"
            tarball.unlink()
            with tarball.open("wb") as stream:
                for start in range(0, size, 1 << 24):
                    stream.write(os.urandom(min(1 << 24, size - start)))
                os.fsync(stream.fileno())  # as package does
            digest = sha256_of(tarball)
            write_record(tarball, digest, digest)
            report = with_checks(report, head, content_sha256=digest)
        write_report(member / "report.json", dataclasses.replace(report, plots=()))
        members.append(member)
    return members


def measure(work: Callable[[], None]) -> tuple[float, float]:
    """Returns the seconds of some work, and its CPU seconds, those of its processes included."""
    os.sync()
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    before, started = [resource.getrusage(kind) for kind in kinds], time.perf_counter()
    work()
    seconds, after = time.perf_counter() - started, [resource.getrusage(kind) for kind in kinds]
    used = sum(b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime for a, b in zip(before, after, strict=True))
    return seconds, used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", type=int, default=4)
    parser.add_argument("--gigabytes", type=float, default=2.0, help="of all tarballs together")
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=settings.folder) as name:
        folder = Path(name)
        members = write_members(folder / "members", settings.modules, int(settings.gigabytes * 1e9 / settings.modules))
        tarballs = [member / f"{head}.tar.gz" for member in members for head in Head]

        def copy() -> None:
            for number, tarball in enumerate(tarballs):
                subprocess.run(["cp", tarball, folder / f"copy/{number}.tar.gz"], check=True)
            subprocess.run(["sync", folder / "copy"], check=True)

        def publish_all() -> None:
            with redirect_stdout(sys.stderr):
                for member in members:
                    publish(member, folder / "hub", name=member.name)

        (folder / "copy").mkdir()
        copy_seconds, copy_cpu = measure(copy)
        shutil.rmtree(folder / "copy")
        seconds, cpu = measure(publish_all)
    print(f"{len(tarballs)} modules, {settings.gigabytes} GB")
    print(f"cp: {copy_seconds:.1f} s, {copy_cpu:.1f} CPU s; publish: {seconds:.1f} s, {cpu:.1f} CPU s")
    ratios = seconds / copy_seconds, cpu / copy_cpu
    print(f"ratio: {ratios[0]:.2f} of the time, {ratios[1]:.2f} of the CPU time (limit {LIMIT})")
    if max(ratios) > LIMIT:
        raise SystemExit(f"publish takes more than {LIMIT} of cp")


if __name__ == "__main__":
    main()
