"""Speaks with Kaggle through kagglehub's client; what goes wrong becomes one sentence without credentials.

Credentials are those that kagglehub finds: KAGGLE_API_TOKEN, KAGGLE_USERNAME and KAGGLE_KEY, or files in ~/.kaggle.
kagglehub.model_upload() is not used: it sets neither title nor usage, and takes an upload that it gave up for one that
succeeded. With KAGGLE_API_ENVIRONMENT=TEST the client prints its requests with the credentials, so that its output is
thrown away.
"""

import contextlib
import io
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.base.addresses import hide_secrets
from pipeline.base.fault import Fault, show_name
from pipeline.base.files import Unreadable
from pipeline.base.json_files import build, parse_facts
from pipeline.hub.withdrawal import HANDLE
from pipeline.mirrors.kaggle_upload import Uploaded, upload_files

if TYPE_CHECKING:
    from kagglesdk import KaggleClient

MARKER = "mirror.json"  # in each version: which one it is, since Kaggle numbers them itself
_LARGEST_MARKER = 10_000  # bytes
_BUSY = (408, 429, 500, 502, 503, 504)
_Answer = TypeVar("_Answer")


class Refused(Exception):
    """Kaggle has answered that it did not do it."""


@dataclass(frozen=True)
class Marker:
    """Which version of a hub a version on Kaggle is: its handle, and the SHA-256 of its tarball."""

    handle: str
    sha256: str

    @property
    def version(self) -> int:
        return int(self.handle.rpartition("/")[2])

    def render(self) -> str:
        return json.dumps({"handle": self.handle, "sha256": self.sha256}, indent=2) + "\n"


@dataclass(frozen=True)
class ModelPage:
    """What Kaggle shows of a model."""

    title: str
    subtitle: str
    description: str
    provenance: str


@dataclass(frozen=True)
class VariationPage:
    """What Kaggle shows of a variation."""

    overview: str
    usage: str
    license: str
    is_fine_tunable: bool
    training_data: tuple[str, ...]


@dataclass(frozen=True)
class Variation:
    """A variation of a model: its owner, the model, and its own name; the framework is TensorFlow 2."""

    owner: str
    model: str
    name: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.model}/tensorFlow2/{self.name}"


class Connection:
    """What a mirror asks of Kaggle, for one owner."""

    def __init__(self, owner: str) -> None:
        """Opens no connection yet.

        Raises:
            Fault: when kagglehub is not installed, or finds no credentials.
        """
        self._owner = owner
        with _quietly():
            try:
                from kagglehub.config import get_kaggle_credentials
            except ImportError:
                text = "needs kagglehub; install it with pip install '.[kaggle]'"
                raise Fault(f"TO=kaggle://{owner}: {text}") from None
            logging.getLogger("kagglehub").handlers.clear()  # of its own, to the standard output
            try:
                credentials = get_kaggle_credentials()
            except ValueError:
                raise Fault(
                    "kaggle.json in ~/.kaggle is not what Kaggle gives; get a new one from its settings"
                ) from None
            if credentials is None:
                text = "no credentials; set KAGGLE_API_TOKEN, or KAGGLE_USERNAME and KAGGLE_KEY"
                raise Fault(f"TO=kaggle://{owner}: {text}")
            from kagglehub.clients import build_kaggle_client

            self._client: KaggleClient = build_kaggle_client()

    def close(self) -> None:
        self._client.__exit__(None, None, None)

    def read_model(self, model: str) -> ModelPage | None:
        """Returns what Kaggle shows of a model; None where this user sees none."""
        from kagglesdk.models.types.model_api_service import ApiGetModelRequest

        request = ApiGetModelRequest()
        request.owner_slug, request.model_slug = self._owner, model
        answer = self._look(model, lambda client: client.models.model_api_client.get_model(request))
        return answer and ModelPage(answer.title, answer.subtitle, answer.description, answer.provenance_sources)

    def read_variation(self, variation: Variation) -> tuple[int, VariationPage] | None:
        """Returns the newest number of a variation and what Kaggle shows of it; None where this user sees none."""
        from kagglesdk.models.types.model_api_service import ApiGetModelInstanceRequest

        request = self._addressed(ApiGetModelInstanceRequest(), variation)
        found = self._look(str(variation), lambda client: client.models.model_api_client.get_model_instance(request))
        if found is None:
            return None
        page = VariationPage(
            found.overview, found.usage, found.license_name, found.fine_tunable, tuple(found.training_data)
        )
        return found.version_number, page

    def read_marker(self, variation: Variation, number: int) -> Marker | None:
        """Returns which version of a hub a version on Kaggle is; None where it does not say."""
        from kagglesdk.models.types.model_api_service import ApiDownloadModelInstanceVersionRequest

        request = self._addressed(ApiDownloadModelInstanceVersionRequest(), variation)
        request.version_number, request.path = number, MARKER

        def download(client: "KaggleClient") -> bytes:
            answer: Any = client.models.model_api_client.download_model_instance_version(request)
            with answer:
                return next(answer.iter_content(_LARGEST_MARKER + 1), b"")

        content = self._look(f"{variation}/{number}", download)
        try:
            marker: Marker | None = build(Marker, parse_facts(content)) if content else None
        except Unreadable:
            return None
        return marker if marker and HANDLE.fullmatch(marker.handle) else None

    def list_files(self, variation: Variation, number: int) -> dict[str, int]:
        """Returns the sizes in bytes of the files of a version, by path."""
        from kagglesdk.models.types.model_api_service import ApiListModelInstanceVersionFilesRequest

        request = self._addressed(ApiListModelInstanceVersionFilesRequest(), variation)
        request.version_number = number
        sizes: dict[str, int] = {}
        while True:
            answer = self._ask(
                str(variation), lambda client: client.models.model_api_client.list_model_instance_version_files(request)
            )
            sizes |= {file.name: file.size for file in answer.files}
            if not answer.next_page_token:
                return sizes
            request.page_token = answer.next_page_token

    def create_model(self, model: str, page: ModelPage) -> None:
        """Makes a model, which nobody else sees at first."""
        from kagglesdk.models.types.model_api_service import ApiCreateModelRequest

        request = ApiCreateModelRequest()
        request.owner_slug, request.slug, request.is_private = self._owner, model, True
        _set_page(request, page)
        self._change(model, lambda client: client.models.model_api_client.create_model(request))

    def update_model(self, model: str, page: ModelPage) -> None:
        """Writes what Kaggle shows of a model."""
        from google.protobuf.field_mask_pb2 import FieldMask
        from kagglesdk.models.types.model_api_service import ApiUpdateModelRequest

        request = ApiUpdateModelRequest()
        request.owner_slug, request.model_slug = self._owner, model
        _set_page(request, page)
        request.update_mask = FieldMask(paths=["title", "subtitle", "description", "provenance_sources"])
        self._change(model, lambda client: client.models.model_api_client.update_model(request))

    def upload(self, variation: Variation, folder: Path, paths: Sequence[str]) -> Uploaded:
        """Uploads files of a folder, which no version has yet."""
        with self._asking(str(variation)) as client:
            return upload_files(client, folder, paths)

    def create_variation(self, variation: Variation, page: VariationPage, uploaded: Uploaded) -> None:
        """Makes a variation of a model that is there; its first version has the uploaded files.

        Raises:
            Refused: when Kaggle has answered that it did not, for instance since there is one already.
            Fault: when it failed, perhaps after the version was added.
        """
        from kagglesdk.models.types.model_api_service import (
            ApiCreateModelInstanceRequest,
            ApiCreateModelInstanceRequestBody,
        )

        request, body = ApiCreateModelInstanceRequest(), ApiCreateModelInstanceRequestBody()
        request.owner_slug, request.model_slug, request.body = variation.owner, variation.model, body
        body.instance_slug, body.framework = variation.name, _framework()
        body.files, body.directories = uploaded.files, uploaded.folders
        _set_variation_page(body, page)
        self._change(str(variation), lambda client: client.models.model_api_client.create_model_instance(request))

    def add_version(self, variation: Variation, uploaded: Uploaded, notes: str) -> None:
        """Adds a version with the uploaded files to a variation; raises as create_variation() does."""
        from kagglesdk.models.types.model_api_service import (
            ApiCreateModelInstanceVersionRequest,
            ApiCreateModelInstanceVersionRequestBody,
        )

        request = self._addressed(ApiCreateModelInstanceVersionRequest(), variation)
        request.body = body = ApiCreateModelInstanceVersionRequestBody()
        body.version_notes, body.files, body.directories = notes, uploaded.files, uploaded.folders
        name = str(variation)
        self._change(name, lambda client: client.models.model_api_client.create_model_instance_version(request))

    def update_variation(self, variation: Variation, page: VariationPage) -> None:
        """Writes what Kaggle shows of a variation."""
        from google.protobuf.field_mask_pb2 import FieldMask
        from kagglesdk.models.types.model_api_service import ApiUpdateModelInstanceRequest

        request = self._addressed(ApiUpdateModelInstanceRequest(), variation)
        _set_variation_page(request, page)
        paths = ["overview", "usage", "fine_tunable", "training_data", *(["license_name"] if page.license else [])]
        request.update_mask = FieldMask(paths=paths)
        self._change(str(variation), lambda client: client.models.model_api_client.update_model_instance(request))

    def _addressed(self, request: Any, variation: Variation) -> Any:
        request.owner_slug, request.model_slug = variation.owner, variation.model
        request.framework, request.instance_slug = _framework(), variation.name
        return request

    def _look(self, what: str, ask: Callable[["KaggleClient"], _Answer]) -> _Answer | None:
        """Returns an answer, None where there is no such thing, or this user must not know of it."""
        with self._asking(what, missing=True) as client:
            return ask(client)
        return None  # _asking() has ended the block

    def _ask(self, what: str, ask: Callable[["KaggleClient"], _Answer]) -> _Answer:
        with self._asking(what) as client:
            return ask(client)

    def _change(self, what: str, ask: Callable[["KaggleClient"], Any]) -> None:
        """Asks for a change; Kaggle may answer 200 with an error in the body."""
        with self._asking(what, changes=True) as client:
            answer = ask(client)
        if answer.error:
            text = f"{answer.error_code} " if getattr(answer, "error_code", None) else ""
            raise Refused(f"{what}: Kaggle refuses: {text}{show_name(self._hide(answer.error))}")

    def _hide(self, message: str) -> str:
        """Returns a message of the server, which may repeat what it was sent, without credentials."""
        for secret in (self._client.api_token, self._client.password):
            message = message.replace(secret, "...") if secret else message
        return hide_secrets(message)

    @contextmanager
    def _asking(self, what: str, missing: bool = False, changes: bool = False) -> Iterator["KaggleClient"]:
        """Yields a client; turns what it raises into a Fault, or ends the block where something may be missing."""
        import requests

        with _quietly():
            try:
                yield self._client
            except requests.HTTPError as error:
                status = error.response.status_code if error.response is not None else 0
                if missing and status in (403, 404):
                    return
                text = self._explain(what, status)
                if changes and 400 <= status < 500 and status not in _BUSY:
                    raise Refused(text) from None
                raise Fault(text) from None
            except requests.RequestException as error:
                raise Fault(
                    f"{what}: Kaggle cannot be reached ({type(error).__name__}); check your network, and run the same"
                    " command again"
                ) from None

    def _explain(self, what: str, status: int) -> str:
        if status in (401, 403):
            return (
                f"{what}: Kaggle refuses the credentials with {status}; expected those of {self._owner}, or of somebody"
                " who may publish for it: set KAGGLE_API_TOKEN, or KAGGLE_USERNAME and KAGGLE_KEY"
            )
        if status in _BUSY:
            return f"{what}: Kaggle answers {status}; wait a while and run the same command again"
        return f"{what}: Kaggle answers {status}; expected success"


@contextmanager
def _quietly() -> Iterator[None]:
    """Throws away what the client writes to the standard output: its requests, with credentials, and progress."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _framework() -> Any:
    from kagglesdk.models.types.model_enums import ModelFramework

    return ModelFramework.MODEL_FRAMEWORK_TENSOR_FLOW_2


def _set_page(request: Any, page: ModelPage) -> None:
    request.title, request.subtitle = page.title, page.subtitle
    request.description, request.provenance_sources = page.description, page.provenance


def _set_variation_page(request: Any, page: VariationPage) -> None:
    request.overview, request.usage, request.fine_tunable = page.overview, page.usage, page.is_fine_tunable
    request.training_data = list(page.training_data)
    if page.license:
        request.license_name = page.license
