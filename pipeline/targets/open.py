"""Opens the target that an address names."""

import re
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pipeline.base.addresses import public_address
from pipeline.base.fault import Fault, show_name
from pipeline.base.files import expand_home
from pipeline.targets.clouds import Place, open_azure, open_s3
from pipeline.targets.folder import Folder
from pipeline.targets.google import open_google
from pipeline.targets.interface import Target
from pipeline.targets.paths import check_path
from pipeline.targets.remote import Patience

_EXPECTED = "expected a folder, s3://<bucket>/<prefix>, gs://<bucket>/<prefix> or az://<container>/<prefix>"
_STORES = {"s3": open_s3, "gs": open_google, "az": open_azure}
_CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}")


def open_target(address: str, patience: Patience | None = None) -> Target:
    """Returns the target of an address: a folder (a path, file:) or an object store.

    Nothing is read or written yet. Credentials are those of the environment, as each store's library finds them.

    Args:
        address: the address.
        patience: of an object store; the default is for people.

    Raises:
        Fault: when the address is of no kind, is incomplete or has credentials in it, or when the library or the
            settings of its kind are missing.
    """
    public = show_name(public_address(address))
    try:
        parts = urlsplit(address)
    except ValueError:  # whose text may have a password
        raise Fault(f"{public}: no address of a target; {_EXPECTED}") from None
    if parts.scheme in ("", "file"):
        return _open_folder(address, public)
    if parts.scheme not in _STORES:
        raise Fault(f"{public}: cannot release to {parts.scheme}: addresses; {_EXPECTED}")
    return _STORES[parts.scheme](_place(address, public), patience or Patience())


def _place(address: str, public: str) -> Place:
    scheme, _, rest = address.partition(":")
    container, _, prefix = rest.removeprefix("//").partition("/")
    if "@" in container or re.search("[?#]", address):
        raise Fault(
            f"{public}: has credentials, a query or a fragment; expected {scheme}://<name>/<prefix> alone: credentials"
            " are found where the store's own tools find them (docs/releasing.md)"
        )
    if not rest.startswith("//") or not _CONTAINER.fullmatch(container):
        raise Fault(f"{public}: names no bucket or container; {_EXPECTED}")
    if prefix := prefix.rstrip("/"):
        check_path(prefix)
    return Place(public, container, prefix)


def _open_folder(address: str, public: str) -> Target:
    parts = urlsplit(address)
    if parts.netloc not in ("", "localhost") or (parts.scheme == "file" and (parts.query or parts.fragment)):
        raise Fault(f"{public}: names another machine, or more than a folder; {_EXPECTED}")
    path = url2pathname(parts.path) if parts.scheme == "file" else address
    if not path:
        raise Fault(f"no address of a target; {_EXPECTED}")
    return Folder(public, expand_home(path))
