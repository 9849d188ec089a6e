"""Speaks with Hugging Face through huggingface_hub; what goes wrong becomes one sentence without credentials.

HF_ENDPOINT names another server, HF_TOKEN the token, as for all programs of that library.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.addresses import hide_secrets
from pipeline.base.fault import Fault, show_name
from pipeline.base.progress import is_terminal

if TYPE_CHECKING:
    pass

_BUSY = (429, 500, 502, 503, 504)
_COMMIT = re.compile("[0-9a-f]{40}")


class Moved(Exception):
    """Somebody else wrote to the repository meanwhile."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository: its size in bytes, and its SHA-256 if it is a large one, else Git's name of it."""

    size: int
    sha256: str | None
    git_oid: str


@dataclass(frozen=True)
class Repository:
    """The state of a repository: the commit of its main branch (None for an empty one), and of each tag."""

    main: str | None
    tags: dict[str, str]


class Connection:
    """What a mirror asks of Hugging Face, for one organisation or user."""

    def __init__(self, organisation: str) -> None:
        """Opens no connection yet.

        Raises:
            Fault: when huggingface_hub is not installed.
        """
        try:
            from huggingface_hub import HfApi
            from huggingface_hub.utils import logging
            from huggingface_hub.utils.tqdm import disable_progress_bars
        except ImportError:
            raise Fault(
                f"TO=hf://{organisation}: needs huggingface_hub; install it with pip install '.[huggingface]'"
            ) from None
        if not is_terminal():
            disable_progress_bars()
        logging.set_verbosity_error()
        self._organisation = organisation
        self._api: HfApi = HfApi(endpoint=os.environ.get("HF_ENDPOINT", "").rstrip("/") or None)

    def check_name(self, repository: str) -> str:
        """Returns why a repository cannot have a name, "" where it can."""
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils._validators import validate_repo_id

        try:
            validate_repo_id(repository)
        except HFValidationError as error:
            return f"no repository of Hugging Face can be called {repository}: {show_name(str(error))}"
        return ""

    def read(self, repository: str) -> Repository | None:
        """Returns the state of a repository, None where there is none."""
        from huggingface_hub.errors import RepositoryNotFoundError

        with self._naming(repository):
            try:
                refs = self._api.list_repo_refs(repository)
            except RepositoryNotFoundError as error:
                if error.response.status_code == 404:
                    return None
                raise  # 401: without a token, nobody is told whether there is one
        main = next((branch.target_commit for branch in refs.branches if branch.name == "main"), None)
        return Repository(main, {tag.name: tag.target_commit for tag in refs.tags})

    def read_files(self, repository: str, revision: str) -> dict[str, RemoteFile]:
        """Returns the files of a commit by path."""
        from huggingface_hub.hf_api import RepoFile

        with self._naming(repository):
            tree = list(self._api.list_repo_tree(repository, revision=revision, recursive=True))
        return {
            entry.path: RemoteFile(entry.size, entry.lfs.sha256 if entry.lfs else None, entry.blob_id)
            for entry in tree
            if isinstance(entry, RepoFile)
        }

    def create(self, repository: str) -> None:
        """Makes a repository, as visible as the organisation's default says, unless it is there."""
        with self._naming(repository):
            self._api.create_repo(repository, exist_ok=True)

    def commit(
        self,
        repository: str,
        added: Mapping[str, Path | bytes],
        deleted: Sequence[str],
        parent: str | None,
        message: str,
    ) -> str:
        """Uploads files and changes the main branch in one commit; returns the commit.

        Args:
            repository: where.
            added: what to write, by path: a file of this disk, or its content.
            deleted: the paths to remove.
            parent: the commit that the main branch must have.
            message: of the commit.

        Raises:
            Moved: when the main branch has another commit.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete
        from huggingface_hub.errors import HfHubHTTPError

        additions = [CommitOperationAdd(path, source) for path, source in added.items()]
        deletions = [CommitOperationDelete(path, is_folder=False) for path in deleted]
        with self._naming(repository):
            try:
                made = self._api.create_commit(
                    repository, [*additions, *deletions], commit_message=message, parent_commit=parent
                )
            except HfHubHTTPError as error:
                if error.response.status_code in (409, 412):
                    raise Moved from None
                raise
        if not _COMMIT.fullmatch(made.oid):
            raise Fault(f"{repository}: Hugging Face answers with the commit '{show_name(made.oid)}', expected an oid")
        return made.oid

    def tag(self, repository: str, tag: str, commit: str) -> None:
        """Gives a commit a tag.

        Raises:
            Moved: when there is such a tag already.
        """
        from huggingface_hub.errors import HfHubHTTPError

        with self._naming(repository):
            try:
                self._api.create_tag(repository, tag=tag, revision=commit)
            except HfHubHTTPError as error:
                if error.response.status_code == 409:
                    raise Moved from None
                raise

    @contextmanager
    def _naming(self, repository: str) -> Iterator[None]:
        """Turns what the library raises into a Fault."""
        import httpx2
        from huggingface_hub.errors import HfHubHTTPError

        try:
            yield
        except HfHubHTTPError as error:
            raise Fault(self._explain(repository, error.response.status_code, error.server_message or "")) from None
        except httpx2.HTTPError as error:
            raise Fault(self._unreachable(repository, error)) from None
        except RuntimeError as error:  # of an upload; its cause says why
            cause = error.__cause__
            if isinstance(cause, HfHubHTTPError):
                text = self._explain(repository, cause.response.status_code, cause.server_message or "")
                raise Fault(text) from None
            if isinstance(cause, httpx2.HTTPError):
                raise Fault(self._unreachable(repository, cause)) from None
            raise
        except ValueError as error:  # of an answer that the library cannot use, such as metadata that is refused
            text = show_name(_hide_token(" ".join(str(error).split())))
            raise Fault(f"{repository}: Hugging Face refuses it, or gives no usable answer ({text})") from None

    def _unreachable(self, repository: str, error: Exception) -> str:
        return (
            f"{repository}: Hugging Face cannot be reached ({type(error).__name__}); check your network, and run the"
            " same command again: what was uploaded is kept there"
        )

    def _explain(self, repository: str, status: int, message: str) -> str:
        said = f" ({show_name(_hide_token(message))})" if message else ""
        if status in (401, 403):
            return (
                f"{repository}: Hugging Face refuses the credentials with {status}{said}; expected a token that may"
                f" write to {self._organisation}: set HF_TOKEN, or run hf auth login"
            )
        if status in _BUSY:
            return (
                f"{repository}: Hugging Face answers {status}{said}; wait a while and run the same command again: what"
                " was uploaded is kept there"
            )
        return f"{repository}: Hugging Face answers {status}{said}; expected success"


def _hide_token(message: str) -> str:
    """Returns a message of the server, which may repeat what it was sent, without the token and other secrets."""
    from huggingface_hub import get_token

    token = get_token()
    return hide_secrets(message.replace(token, "...") if token else message)
