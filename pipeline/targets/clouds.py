"""Opens buckets of S3 and containers of Azure, with the settings and credentials of the environment.

The credentials stay with obstore, which reads them where its documentation says; nothing of them is kept here.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.extras import install_line
from pipeline.base.fault import Fault
from pipeline.targets.failures import Help
from pipeline.targets.object_store import ONCE, QUICK, SLOW, ObjectStore, retries
from pipeline.targets.profile import find_profile
from pipeline.targets.remote import Patience, Remote
from pipeline.targets.unfinished import CERTIFICATES, Unfinished, authorities

if TYPE_CHECKING:
    from obstore.store import ClientConfig

INSTALL = install_line("release")
_S3 = Help(
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the role of the machine or the job",
    "AWS_ENDPOINT_URL",
    "bucket",
)
_AZURE = Help(
    "AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN, AZURE_CLIENT_ID with a secret or a federated token,"
    " AZURE_USE_AZURE_CLI=true, or the identity of the machine",
    "AZURE_STORAGE_ENDPOINT",
    "container",
)
_S3_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_AZURE_ENDPOINTS = ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")


@dataclass(frozen=True)
class Place:
    """Where a hub lies in a store.

    Attributes:
        address: as the user named it.
        container: a bucket or a container.
        prefix: the folder in it, without / at its ends; empty for the container itself.
    """

    address: str
    container: str
    prefix: str


def open_s3(place: Place, patience: Patience) -> Remote:
    """Returns a target in a bucket of S3, or of a server that speaks as S3 does (AWS_ENDPOINT_URL)."""
    with _building(place):
        from obstore.store import S3Store

        profile, endpoint = find_profile(place.address), _first(_S3_ENDPOINTS)
        once, patient = (
            S3Store(
                place.container,
                prefix=place.prefix or None,
                client_options=_with_network(options, endpoint),
                retry_config=config,
                credential_provider=profile,
                # Many servers that speak as S3 do have no deletion of many objects at once.
                disable_bulk_delete=True,
            )
            for options, config in ((QUICK, ONCE), (SLOW, retries(patience)))
        )
    return Remote(
        place.address, ObjectStore(once, patient, _S3, Unfinished(place.container, place.prefix, profile)), patience
    )


def open_azure(place: Place, patience: Patience) -> Remote:
    """Returns a target in a container of the storage account AZURE_STORAGE_ACCOUNT_NAME."""
    if not (os.environ.get("AZURE_STORAGE_ACCOUNT_NAME") or os.environ.get("AZURE_STORAGE_USE_EMULATOR")):
        raise Fault(f"{place.address}: set AZURE_STORAGE_ACCOUNT_NAME to the storage account that has the container")
    with _building(place):
        from obstore.store import AzureStore

        once, patient = (
            AzureStore(
                place.container,
                prefix=place.prefix or None,
                client_options=_with_network(options, _first(_AZURE_ENDPOINTS)),
                retry_config=config,
            )
            for options, config in ((QUICK, ONCE), (SLOW, retries(patience)))
        )
    # Azure removes blocks that were not committed within a week.
    return Remote(place.address, ObjectStore(once, patient, _AZURE, None), patience)


@contextmanager
def _building(place: Place) -> Iterator[None]:
    """Explains what keeps a client from being built; obstore's own text may have a malformed key in it."""
    try:
        from obstore.exceptions import BaseError
    except ImportError:
        raise Fault(f"{place.address}: needs obstore; install it with {INSTALL}") from None
    try:
        yield
    except (BaseError, ValueError) as error:
        raise Fault(
            f"{place.address}: the settings for this target in the environment (AWS_*, AZURE_*) cannot be used"
            f" ({type(error).__name__}); check that keys and addresses among them are complete"
        ) from None


def _first(variables: tuple[str, ...]) -> str:
    return next((value for name in variables if (value := os.environ.get(name, "").strip())), "")


def _with_network(options: "ClientConfig", endpoint: str) -> "ClientConfig":
    """Adds the authorities that this machine trusts, and http only to a server that the user names with it."""
    is_plain = endpoint.startswith("http://") or bool(os.environ.get("AZURE_STORAGE_USE_EMULATOR"))
    options = {**options, "allow_http": is_plain}
    if file := authorities():
        try:
            options["root_certificate"] = Path(file).read_bytes()
        except OSError as error:
            raise Fault(
                f"{file}: the certificates cannot be read ({error.strerror}); see {', '.join(CERTIFICATES)}"
            ) from None
    return options
