"""User names and passwords of hosts: those of an address, else those of ~/.netrc, and to whom they are sent."""

from urllib.parse import quote, unquote, urlsplit

import requests
from requests.auth import HTTPBasicAuth
from requests.utils import get_netrc_auth


class Session(requests.Session):
    """Sends credentials to the host of the address alone, and to no host that it redirects to.

    requests itself looks each of those up in ~/.netrc, whose entry `default` fits any host, and prefers an entry to the
    password of the address.
    """

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        if self.should_strip_auth(str(response.request.url), str(prepared_request.url)):
            prepared_request.headers.pop("Authorization", None)


def read_credentials(url: str) -> HTTPBasicAuth | None:
    """Returns the user name and the password to send to a URL's host, or None.

    The password of the URL comes first, then the host's entry in ~/.netrc, or in the file that NETRC names, unless the
    URL has another user name than the entry. A user name alone is sent with an empty password.

    Raises:
        ValueError: when it is no URL.
    """
    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), parts.password
    if password is None:
        host = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        stored_user, stored_password = get_netrc_auth(host.geturl()) or ("", "")
        if stored_password and user in ("", stored_user):
            user, password = stored_user, quote(stored_password)
    return HTTPBasicAuth(user.encode(), unquote(password or "").encode()) if user or password else None
