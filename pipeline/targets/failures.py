"""What a store answered instead of doing what it was asked, and the sentence for a person.

The messages of the stores' libraries may contain signed addresses, keys and the texts of servers. Nothing of them is
shown but the HTTP status and the server's word for it.
"""

from dataclasses import dataclass
from http import HTTPStatus

from pipeline.base.fault import Fault

_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
# The words of S3, Azure and Google, and of servers that speak as they do, for a store that has no room.
_FULL = ("quota", "storagefull", "insufficientstorage", "storagelimit")
NO_CREDENTIALS = "no credentials"
NO_CONNECTION = "no connection"
UNTRUSTED = "its certificate is not trusted"


@dataclass(frozen=True)
class Failure:
    """A request that failed.

    Attributes:
        status: HTTP's; 0 when there was no answer.
        code: the server's word for it, such as AccessDenied; letters, digits and . - only, perhaps empty.
        reason: what happened when there was no answer, such as "no connection".
    """

    status: int
    code: str = ""
    reason: str = ""

    @property
    def is_full(self) -> bool:
        """Whether there is no room for the file."""
        return self.status == HTTPStatus.INSUFFICIENT_STORAGE or any(word in self.code.lower() for word in _FULL)

    @property
    def is_transient(self) -> bool:
        """Whether another try may succeed."""
        if self.is_full or self.reason in (NO_CREDENTIALS, UNTRUSTED):
            return False
        if self.code == "NoSuchUpload":  # it was completed, but the answer was lost, or another publisher removed it
            return True
        return not self.status or self.status in _TRANSIENT or self.is_conflict

    @property
    def is_conflict(self) -> bool:
        """Whether two wrote at once, and neither has won yet; S3 says so."""
        return self.code in ("ConditionalRequestConflict", "OperationAborted")

    @property
    def may_be_done(self) -> bool:
        """Whether a write may have succeeded all the same: its answer was lost."""
        return not (self.is_conflict or self.status == 429 or self.code == "SlowDown" or self.reason == NO_CONNECTION)

    @property
    def is_missing(self) -> bool:
        """Whether it is the bucket or the container that is missing."""
        return self.code in ("NoSuchBucket", "ContainerNotFound", "ResourceNotFound")

    def __str__(self) -> str:
        return f"{self.status} {self.code}".strip() if self.status else self.reason


class Failed(Exception):
    """A request failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


class ConditionFailed(Exception):
    """A write was refused since its condition does not hold: another file, or one at all, is in its place."""


class Unsupported(Fault):
    """A store does not know a request that a release needs."""


@dataclass(frozen=True)
class Help:
    """What a message tells about the settings of a kind of store.

    Attributes:
        credentials: where they are looked for.
        endpoint: the variable that names another server.
        container: what the store calls the place of files.
    """

    credentials: str
    endpoint: str
    container: str


def explain(address: str, failure: Failure, known: Help) -> Fault:
    """Returns the fault for a request to `address` that failed for good."""
    if failure.is_full:
        return Fault(
            f"{address}: the target is full ({failure}); nothing of the file was kept. Free some space or raise the"
            " quota, and run the same command again"
        )
    if failure.reason == NO_CREDENTIALS:
        return Fault(f"{address}: no credentials; expected {known.credentials} (docs/releasing.md)")
    if failure.reason == UNTRUSTED:
        return Fault(
            f"{address}: the target's certificate is not trusted; name the file with its authority's certificate in"
            f" REQUESTS_CA_BUNDLE, or check {known.endpoint}"
        )
    if failure.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return Fault(
            f"{address}: the target refuses these credentials ({failure}); give them the right to read, list, write and"
            f" delete there, or use others: {known.credentials} (docs/releasing.md)"
        )
    if failure.is_missing or failure.status == HTTPStatus.NOT_FOUND:
        return Fault(f"{address}: there is no such {known.container} ({failure}); create it, or correct the address")
    if failure.status in (HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.METHOD_NOT_ALLOWED):
        return Unsupported(f"{address}: the target does not know a request that a release needs ({failure})")
    if HTTPStatus.MULTIPLE_CHOICES <= failure.status < HTTPStatus.BAD_REQUEST:
        return Fault(
            f"{address}: the {known.container} is elsewhere ({failure}); set its region (AWS_REGION) or"
            f" {known.endpoint}"
        )
    if failure.status:
        return Fault(
            f"{address}: the target answers {failure} again and again; try later"
            if failure.is_transient
            else f"{address}: the target refuses a request ({failure}); check the address and {known.endpoint}"
        )
    return Fault(
        f"{address}: the target cannot be reached ({failure}); check the network, the proxy and {known.endpoint}"
    )
