"""Opens the target that an address names."""

from urllib.parse import urlsplit
from urllib.request import url2pathname

from pipeline.base.addresses import public_address
from pipeline.base.fault import Fault
from pipeline.base.files import expand_home
from pipeline.targets.folder import Folder
from pipeline.targets.interface import Target

_EXPECTED = "expected a folder, s3://<bucket>/<prefix>, gs://<bucket>/<prefix> or az://<container>/<prefix>"


def open_target(address: str) -> Target:
    """Returns the target of an address: a folder (a path, file:) or an object store.

    Nothing is read or written yet, and nobody is asked for credentials.

    Raises:
        Fault: when the address is of no kind, is incomplete or has credentials in it.
    """
    public = public_address(address)
    try:
        parts = urlsplit(address)
    except ValueError:  # whose text may have a password
        raise Fault(f"{public}: no address of a target; {_EXPECTED}") from None
    if parts.scheme in ("", "file"):
        return _open_folder(address, public)
    raise Fault(f"{public}: cannot release to {parts.scheme}: addresses; {_EXPECTED}")


def _open_folder(address: str, public: str) -> Target:
    parts = urlsplit(address)
    if parts.netloc not in ("", "localhost") or (parts.scheme == "file" and (parts.query or parts.fragment)):
        raise Fault(f"{public}: names another machine, or more than a folder; {_EXPECTED}")
    path = url2pathname(parts.path) if parts.scheme == "file" else address
    if not path:
        raise Fault(f"no address of a target; {_EXPECTED}")
    return Folder(public, expand_home(path))
