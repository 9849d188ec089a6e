"""Uploads files to Kaggle: a token for each, and one request with its bytes, which continues where a line was cut."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pipeline.base.fault import Fault
from pipeline.base.progress import Progress

if TYPE_CHECKING:
    from kagglesdk import KaggleClient

_ATTEMPTS = 6  # of a file
_PAUSE = 0.5  # seconds before the second attempt; doubled for each further one
_TIMEOUT = (10, 600)  # seconds: to connect, and for the answer after the last byte
_INCOMPLETE = 308  # the answer of a resumable upload that wants more


@dataclass(frozen=True)
class Uploaded:
    """Files that were uploaded, as the requests that add a version take them: those at the top, and the folders."""

    files: list[Any]
    folders: list[Any]


def upload_files(client: "KaggleClient", folder: Path, paths: Sequence[str]) -> Uploaded:
    """Uploads files.

    Args:
        client: is open.
        folder: holds the files.
        paths: of the files, below the folder.

    Raises:
        Fault: when a file could not be uploaded whole.
        requests.RequestException: when Kaggle fails before that.
    """
    from kagglesdk.datasets.types.dataset_api_service import ApiDatasetNewFile, ApiUploadDirectoryInfo

    root = ApiUploadDirectoryInfo()
    folders: dict[PurePosixPath, Any] = {PurePosixPath(): root}
    with Progress("upload to Kaggle", sum((folder / path).stat().st_size for path in paths), "B") as progress:
        for path in paths:
            file = ApiDatasetNewFile()
            file.token = _upload(client, folder / path)
            _folder(folders, PurePosixPath(path).parent).files.append(file)
            progress.advance((folder / path).stat().st_size)
    return Uploaded(root.files, root.directories)


def _folder(folders: dict[PurePosixPath, Any], path: PurePosixPath) -> Any:
    """Returns the folder of a path, made with those above it where it is new."""
    from kagglesdk.datasets.types.dataset_api_service import ApiUploadDirectoryInfo

    if path not in folders:
        folders[path] = ApiUploadDirectoryInfo()
        folders[path].name = path.name
        _folder(folders, path.parent).directories.append(folders[path])
    return folders[path]


def _upload(client: "KaggleClient", path: Path) -> str:
    """Uploads a file; returns Kaggle's token for it."""
    from kagglesdk.blobs.types.blob_api_service import ApiBlobType, ApiStartBlobUploadRequest

    request, state = ApiStartBlobUploadRequest(), path.stat()
    request.type, request.name, request.content_length = ApiBlobType.MODEL, path.name, state.st_size
    request.last_modified_epoch_seconds = int(state.st_mtime)
    answer = client.blobs.blob_api_client.start_blob_upload(request)
    _put(answer.create_url, path, state.st_size)
    token: str = answer.token
    return token


def _put(address: str, path: Path, size: int) -> None:
    import requests

    offset, pause, reason = 0, _PAUSE, ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(pause)
            pause *= 2
        try:
            offset = _received(address, size) if attempt else 0
            if offset == size and size:
                return
            status = _send(address, path, offset, size)
        except (requests.ConnectionError, requests.Timeout) as error:
            reason = type(error).__name__
            continue
        if status in (200, 201):
            return
        reason = f"the store answers {status}"
        if status != _INCOMPLETE and status < 500 and status not in (408, 429):
            break
    raise Fault(f"{path.name}: could not be uploaded to Kaggle ({reason}); run the same command again")


def _send(address: str, path: Path, offset: int, size: int) -> int:
    """Sends the rest of a file from an offset; returns the status of the answer."""
    import requests

    headers = {"Content-Type": "application/octet-stream"}
    with path.open("rb") as stream:
        stream.seek(offset)
        if size:
            headers["Content-Range"] = f"bytes {offset}-{size - 1}/{size}"
        return requests.put(address, data=stream if size else b"", headers=headers, timeout=_TIMEOUT).status_code


def _received(address: str, size: int) -> int:
    """Returns how many bytes of a file have arrived."""
    import requests

    headers = {"Content-Length": "0", "Content-Range": f"bytes */{size}"}
    answer = requests.put(address, headers=headers, timeout=_TIMEOUT)
    if answer.status_code in (200, 201):
        return size
    received = answer.headers.get("Range", "").rpartition("-")[2]
    return int(received) + 1 if answer.status_code == _INCOMPLETE and received.isdecimal() else 0
