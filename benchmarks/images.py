"""Measures what decoding takes: seconds, and bytes of memory for a pixel beside those that are counted (Linux).

    python -m benchmarks.images [--side 5000]

Fails where an image takes more memory than pipeline/images/bounds.py counts for it.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.images.bounds import memory_of
from pipeline.images.decoding import decode

# Pillow's name of the format, the mode of the image, and options.
KINDS: dict[str, tuple[str, str, dict[str, object]]] = {
    "JPEG": ("JPEG", "RGB", {}),
    "JPEG, progressive": ("JPEG", "RGB", {"progressive": True, "subsampling": 0}),
    "JPEG, CMYK": ("JPEG", "CMYK", {}),
    "PNG": ("PNG", "RGB", {"compress_level": 1}),
    "PNG, RGBA": ("PNG", "RGBA", {"compress_level": 1}),
    "WebP": ("WEBP", "RGBA", {"method": 0}),
    "WebP, lossless": ("WEBP", "RGB", {"lossless": True, "quality": 0, "method": 0}),
    "GIF": ("GIF", "P", {}),
    "BMP": ("BMP", "RGB", {}),
    "TIFF": ("TIFF", "CMYK", {}),
    "TIFF, LZW in one strip": ("TIFF", "RGB", {"compression": "tiff_lzw", "strip_size": 1 << 30}),
}


def write(path: Path, kind: str, side: int) -> None:
    """Writes a square picture with coarse noise."""
    noise = np.random.default_rng(0).integers(0, 255, (side // 20, side // 20, 3), np.uint8)
    name, mode, options = KINDS[kind]
    Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC).convert(mode).save(path, name, **options)


def peak_memory() -> int:
    """Returns the peak resident memory of this process in bytes; getrusage(2) would count that of its parent."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1])  # type: ignore[index]


def measure(path: Path, kind: str) -> None:
    """Decodes the picture in this process, which did nothing else, and prints what that took."""
    before, data = peak_memory(), path.read_bytes()
    with Image.open(path) as image:
        counted = memory_of(image, data)
    started = time.perf_counter()
    pixels = decode(data, str(path))
    seconds = time.perf_counter() - started
    taken, count = peak_memory() - before, pixels.shape[0] * pixels.shape[1]
    each = [f"{(amount - len(data)) / count:.1f}" for amount in (taken, counted)]
    size = f"{count / 1e6:.0f} million pixels in {len(data) / 1e6:.0f} MB"
    print(f"{kind}: {size}, {seconds:.1f} s, {each[0]} bytes a pixel beside the file, {each[1]} counted", flush=True)
    if taken > counted + 10_000_000:
        raise SystemExit(f"{kind}: took {taken / 1e6:,.0f} MB, counted {counted / 1e6:,.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=5000, help="pixels")
    parser.add_argument("--decode", nargs=2, metavar=("PATH", "KIND"), help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.decode:
        measure(Path(settings.decode[0]), settings.decode[1])
        return
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            write(Path(folder, "picture"), kind, settings.side)
            command = [sys.executable, "-m", "benchmarks.images", "--decode", f"{folder}/picture", kind]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
