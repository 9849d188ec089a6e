"""The media types of a hub's files, as its own server and object stores send them."""

TARBALL = "application/gzip"
# The ends of the names of files that never change once published: tarballs, and models in other formats.
LASTING = (".tar.gz", ".tflite", ".onnx")
# By the end of a file's name; the server sends no others.
MEDIA_TYPES = {
    ".tar.gz": TARBALL,
    ".tflite": "application/octet-stream",  # none is registered
    ".onnx": "application/octet-stream",  # nor here
    ".wasm.gz": "application/gzip",  # the page decompresses it
    ".html": "text/html; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".json": "application/json",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".lock": "text/plain; charset=utf-8",  # the lock file of a build; not the hub's own, which is hidden
}


def media_type(name: str) -> str | None:
    """Returns the media type of a file by its name, or None for a file that is not served."""
    return next((kind for end, kind in MEDIA_TYPES.items() if name.endswith(end) and name != end), None)
