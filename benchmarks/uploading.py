"""Measures how fast a release uploads, beside boto3's `upload_file` to the same server in the same run.

    python -m benchmarks.uploading [MEGABYTES]

A random file of 1.2 GB (or MEGABYTES) goes to nanio, a server of S3 on loopback that writes to the disk: three times in
turn through put_large() and through boto3, each in a process of its own. Its first 200 MB go through put_large() to
fake-gcs-server, which copies all that it has for each part. Rates are of the wall time of the upload, imports not
counted; memory is the peak of the process.

Fails below 0.8 of boto3's rate (medians), or when a process of ours needs 200 MB.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.targets.servers import Server, fake_gcs, nanio

ROOT = Path(__file__).parents[1]
MEGABYTES = 1200
GOOGLE_MEGABYTES = 200
RUNS = 3
RATIO, MEMORY = 0.8, 200  # at least; at most, MB

_REPORT = """
import resource, time
usage = resource.getrusage(resource.RUSAGE_SELF)
print(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3)
"""
_OURS = """
import sys, time
from pathlib import Path
from pipeline.targets.open import open_target
target = open_target(sys.argv[2] + "/hub")
target.head("warm")
started = time.perf_counter()
target.put_large("a.tar.gz", Path(sys.argv[1]), lambda count: None)
seconds = time.perf_counter() - started
"""
_BOTO3 = """
import sys, time
import boto3
client = boto3.client("s3")
client.list_objects_v2(Bucket="hub")
started = time.perf_counter()
client.upload_file(sys.argv[1], "hub", "boto3.tar.gz")
seconds = time.perf_counter() - started
"""


@dataclass(frozen=True)
class Upload:
    """What one upload took: seconds of wall time, of the processor, and MB of memory at its peak."""

    seconds: float
    processor: float
    memory: float


def upload(program: str, source: Path, server: Server) -> Upload:
    """Runs a program that uploads a file."""
    environment: Mapping[str, str] = os.environ | dict(server.environment)
    command = [sys.executable, "-c", program + _REPORT, str(source), server.target]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return Upload(*map(float, done.stdout.split()))


def show(name: str, uploads: list[Upload], megabytes: int) -> float:
    """Prints the medians of uploads; returns their rate in MB/s."""
    seconds, processor = (statistics.median(getattr(each, key) for each in uploads) for key in ("seconds", "processor"))
    memory, rate = max(each.memory for each in uploads), megabytes / seconds
    print(f"{name}: {rate:.0f} MB/s, processor {processor:.1f} s, peak memory {memory:.0f} MB", flush=True)
    return rate


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else MEGABYTES
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "source"
        with source.open("wb") as stream:
            for _ in range(megabytes):
                stream.write(os.urandom(1_000_000))
        (folder / "s3").mkdir()
        (folder / "google").mkdir()
        with nanio(folder / "s3") as server:
            pairs = [(upload(_OURS, source, server), upload(_BOTO3, source, server)) for _ in range(RUNS)]
        ours, theirs = (list(column) for column in zip(*pairs, strict=True))
        os.truncate(source, min(megabytes, GOOGLE_MEGABYTES) * 1_000_000)
        with fake_gcs(folder / "google") as server:
            google = [upload(_OURS, source, server)]
    ratio = show("s3, put_large", ours, megabytes) / show("s3, boto3 upload_file", theirs, megabytes)
    show("gs, put_large", google, min(megabytes, GOOGLE_MEGABYTES))
    memory = max(each.memory for each in (*ours, *google))
    print(f"rate {ratio:.2f} of boto3's")
    if ratio < RATIO or memory > MEMORY:
        raise SystemExit(
            f"uploading: rate {ratio:.2f} of boto3's, at least {RATIO}; peak memory {memory:.0f} MB, at most {MEMORY}"
        )


if __name__ == "__main__":
    main()
