"""The headers that a store keeps with a file and sends to readers."""

import re
from dataclasses import dataclass

from pipeline.base.media_types import LASTING, media_type

# Released files that never change, beside LASTING: claims, and what has its digest or its version in its name.
_IMMUTABLE = re.compile(
    r"site/litert-[^/]+/litert_[^/]*|claims/.*"
    r"|index/[0-9a-f]{64}\.[0-9a-f]{2}\.json|metadata/(?:\d+|.*/\d+)\..*\.json",
    re.DOTALL,
)
IMMUTABLE = "public, max-age=31536000, immutable"
CHECKED = "no-cache"  # may be kept, and is compared by its ETag before each use


@dataclass(frozen=True)
class Headers:
    """Headers of a file.

    Attributes:
        content_type: its media type.
        cache_control: how long others may keep it.
    """

    content_type: str
    cache_control: str


def headers_of(path: str) -> Headers:
    """Returns the headers of the file of a hub that has this path."""
    kind = media_type(path.rpartition("/")[2]) or "application/octet-stream"
    return Headers(kind, IMMUTABLE if path.endswith(LASTING) or _IMMUTABLE.fullmatch(path) else CHECKED)
