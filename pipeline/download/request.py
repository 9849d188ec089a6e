"""Sends a request, and tells failures that may pass from answers that are final."""

from collections.abc import Mapping

import requests

from pipeline.base.fault import Forbidden, NotFound, Unavailable, show_name
from pipeline.download.address import Address
from pipeline.download.credentials import read_credentials
from pipeline.download.network import advise_on, describe_error, find_final_fault, is_malformed
from pipeline.download.resume import retry_after
from pipeline.download.retry import Policy, TryAgain


def send_request(
    session: requests.Session, address: Address, headers: Mapping[str, str], policy: Policy
) -> requests.Response:
    """Asks for an address and returns the answer, its body unread.

    Raises:
        requests.ConnectionError: when there is no connection.
        TryAgain: when the server closes the connection without an answer, is silent or drips, or sends no HTTP.
        Unavailable: when the address, the token or a redirect cannot be used, or the server's certificate.
        Misconfigured: when the environment's proxy or certificates cannot be used.
    """

    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        # requests removes the header when a redirect leads to another host, port or scheme.
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    token = address.token()
    try:
        return session.get(
            address.url,
            headers=headers,
            auth=authorize if token else read_credentials(address.url),
            stream=True,
            timeout=(policy.connect, policy.silence),
        )
    except requests.TooManyRedirects as error:
        raise Unavailable(f"redirects in a circle ({error})") from error
    except requests.ConnectionError as error:
        if is_malformed(error):
            raise TryAgain(f"no answer: {describe_error(error)}", cost=policy.half) from error
        if "aborted" in str(error):  # after it was connected
            raise TryAgain(f"no answer: {describe_error(error)}") from error
        if fault := find_final_fault(error):
            raise fault from error
        raise
    except requests.ReadTimeout as error:
        raise TryAgain(f"no answer within {policy.silence:.0f} s") from error
    except ValueError as error:  # whose text may hold the token, or a password of the address
        what = "the address, or the token for it, is not valid" if token else "the address is not valid"
        raise Unavailable(f"{what} ({type(error).__name__})") from error
    except requests.RequestException as error:
        raise Unavailable(describe_error(error)) from error


def check_status(response: requests.Response) -> None:
    """Lets the statuses 200, 206, 304 and 416 pass.

    Raises:
        TryAgain: for 408, 429 and 5xx.
        Forbidden: for 401 and 403.
        NotFound: for 404 and 410.
        Unavailable: for any other status.
    """
    status, reason = response.status_code, show_name(str(response.reason))
    if status in (408, 429) or status >= 500:
        raise TryAgain(f"HTTP {status} {reason}", retry_after(response.headers))
    if status not in (200, 206, 304, 416):
        kind = {401: Forbidden, 403: Forbidden, 404: NotFound, 410: NotFound}.get(status, Unavailable)
        raise kind(f"HTTP {status} {reason}{_describe_credentials(response.request)}{advise_on(str(status))}")


def _describe_credentials(request: requests.PreparedRequest) -> str:
    header = request.headers.get("Authorization")
    if not header:
        return ""
    is_password = header.startswith("Basic ")
    return " to the user name and password that were sent" if is_password else " to the token that was sent"


def check_encoding(response: requests.Response) -> None:
    """Raises Unavailable for a compressed body: its bytes are not the file's."""
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding not in ("", "identity"):
        raise Unavailable(f"sends the file {show_name(encoding)}-encoded although the plain bytes were asked for")
