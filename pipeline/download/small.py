"""Gets files that fit into memory, one after another over one session, without the cache."""

from contextlib import closing

import requests

from pipeline.base.fault import Unavailable
from pipeline.download.address import Address
from pipeline.download.network import describe_error, describe_failure, open_session
from pipeline.download.request import check_encoding, check_status, send_request
from pipeline.download.resume import build_headers, read_answer
from pipeline.download.retry import Policy, Retries, TryAgain
from pipeline.download.transfer import receive_bytes


class SmallFiles:
    """Gets small files of a host, as patiently as all downloads; for one thread.

    Attributes:
        policy: how patient.
    """

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self._session = open_session(self.policy.head)
        self._has_answered = False

    def get(self, url: str, most: int, label: str) -> bytes:
        """Returns a file, or its first `most` bytes and one if it is larger.

        Raises:
            Unavailable: when it cannot be had; NotFound and Forbidden, when the host says so.
        """
        retries = Retries(self.policy, label, 0)
        while True:
            try:
                return self._try_once(url, most)
            except requests.ConnectionError as error:
                if not self._has_answered:
                    raise describe_failure(error) from error
                failure = TryAgain(describe_error(error))
            except TryAgain as error:
                failure = error
            retries.pause_after(failure, 0, None)

    def _try_once(self, url: str, most: int) -> bytes:
        with closing(send_request(self._session, Address(url), build_headers(None, None), self.policy)) as response:
            self._has_answered = True
            check_status(response)
            if response.status_code != 200:
                raise Unavailable(f"HTTP {response.status_code} does not fit the request")
            check_encoding(response)
            return receive_bytes(response, read_answer(url, response).record.length, most, self.policy)
