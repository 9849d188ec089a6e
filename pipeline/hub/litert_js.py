"""LiteRT.js, which runs LiteRT files in browsers: its files in a hub (templates/site/litert has where they come from).

The WASM file stays compressed in the hub, and the page decompresses it: 2.8 MB instead of 9.3 MB from every host, since
the stores that hubs are released to compress nothing, and no static host can be told to send Content-Encoding.
"""

import gzip

from pipeline.base.templates import TEMPLATES

VERSION = "2.5.3"
FOLDER = f"site/litert-{VERSION}"  # the version, so that no cache mixes files of two
WORKER = f"{FOLDER}/worker.js"
# The SHA-256 of what the npm package has.
DIGESTS = {
    "litert_wasm_compat_internal.js": "4d8f894b7883654fd6e8439730aa41e79ceaab7d19184fc4f1f0b0f1a2a2c8a5",
    "litert_wasm_compat_internal.wasm": "5255c8ad06eabdbd2522cdebf6b22fc10faf74625c23a49b9e072570cd1fa41c",
}
_SOURCES = TEMPLATES / "site/litert"
_SCRIPT, _WASM = (f"{name}.gz" for name in DIGESTS)
FILES = tuple(f"{FOLDER}/{name}" for name in ("LICENSE.txt", "worker.js", _SCRIPT.removesuffix(".gz"), _WASM))


def read_file(path: str) -> bytes:
    """Returns the content of a file of FILES."""
    source = _SOURCES / path.removeprefix(f"{FOLDER}/")
    return source.read_bytes() if source.exists() else gzip.decompress(source.with_name(_SCRIPT).read_bytes())


def download_size() -> int:
    """Returns how many bytes a browser loads before it runs its first model."""
    return sum(len(read_file(path)) for path in FILES if not path.endswith(".txt"))
