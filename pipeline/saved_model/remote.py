"""Opens a SavedModel by a path or an address: http(s), gs, hf or s3, of an archive, or of a module that a hub serves.

Apart from pipeline.saved_model.opening, since what validates a member needs no downloads.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from pipeline.base.addresses import public_address
from pipeline.base.fault import Fault, Forbidden, NotCached, NotFound, Unavailable
from pipeline.base.files import expand_home
from pipeline.saved_model.opening import open_folder


@dataclass(frozen=True)
class Downloads:
    """Where downloads go: the folder of the cache; offline, nothing but the cache is used."""

    cache: Path
    offline: bool = False


@contextmanager
def local_copy(name: str, setting: str, downloads: Downloads) -> Iterator[Path]:
    """Yields the path of a model: the name itself, or the download of an address, which stays in the cache.

    A Fault of the block about the download's path names the address instead.

    Args:
        name: a path or an address.
        setting: the setting that holds it, for messages.
        downloads: where downloads go.

    Raises:
        Fault: when the address cannot be used.
    """
    shown = public_address(name)
    if re.match(r"https?:/?[^/]", name):
        raise Fault(f"{setting}={shown}: no address; expected http(s)://<host>/<path>, with two slashes")
    if "://" not in name and not name.startswith("file:"):
        yield expand_home(name)
        return
    from pipeline.download import address, obtain  # its HTTP client is slow to import, and a local file needs none

    if address.scheme_of(name, setting) == "file":
        yield address.local_path(name)
        return
    access, path = obtain.Access(downloads.cache, downloads.offline), ""
    try:
        with obtain.obtain_file(file_address(name), access, shown) as file:
            path = str(file.path)
            yield file.path
    except Unavailable as error:
        raise Fault(f"{shown}: cannot be downloaded ({error}){_advise(name, error)}") from None
    except Fault as fault:
        raise Fault(str(fault).replace(path, shown) if path else str(fault)) from None


def _advise(name: str, error: Unavailable) -> str:
    """Returns what to do where a download fails, "" where the error itself says it."""
    if isinstance(error, NotCached):
        return "; run it once without OFFLINE=1"
    if isinstance(error, NotFound):
        return "; check the address: expected that of an archive, or of a module that a hub serves"
    if isinstance(error, Forbidden) and name.startswith("http"):
        return (
            "; put a user name and a password into the address or ~/.netrc, correct them, or sign the address again if"
            " it is signed (docs/fetching.md)"
        )
    return "; set the credentials that may read it (docs/fetching.md)" if isinstance(error, Forbidden) else ""


def file_address(name: str) -> str:
    """Returns the address of a module's archive: a hub gives it for the address of the module with this query.

    Source: https://www.tensorflow.org/hub/hosting, "Compressed Transport".
    """
    parts = urlsplit(name)
    if parts.scheme not in ("http", "https") or parts.query or re.search(r"\.[A-Za-z]\w{0,9}$", parts.path):
        return name
    return urlunsplit(parts._replace(query="tf-hub-format=compressed"))


@contextmanager
def open_model(name: str, setting: str, downloads: Downloads) -> Iterator[tuple[Path, str]]:
    """Yields the folder of a SavedModel, for local_copy()'s names, and a note of how it was chosen.

    Raises:
        Fault: as local_copy() and open_folder().
    """
    with ExitStack() as stack:
        with local_copy(name, setting, downloads) as path:  # locked in the cache until it is unpacked
            opened = stack.enter_context(open_folder(path))
        yield opened
