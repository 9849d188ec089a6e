"""The certificates and proxies that the environment names, and what is wrong with them where a connection fails.

    REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE, SSL_CERT_FILE, SSL_CERT_DIR
                            files and folders of certificates to trust, all that are set; without one, those of certifi
    https_proxy, http_proxy, all_proxy, no_proxy
                            in lower or upper case, read by requests; http://, https://, socks4://, socks5://, socks5h://

requests itself reads the first one of two of these variables, and neither of OpenSSL's, which curl, uv and Python's own
client read: a machine may have some of them set, and a person sets another.
"""

import functools
import http.client
import os
import re
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy
from urllib3.exceptions import HTTPError

from pipeline.base.addresses import hide_secrets, public_address
from pipeline.base.fault import Misconfigured, Unavailable, Unreachable, escape, show_name
from pipeline.download.connection import HEAD_SECONDS, BadAnswer, limit_answers
from pipeline.download.credentials import Session

CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
MOST_REDIRECTS = 10  # Hugging Face needs two, GitHub's releases one
_LONGEST_REASON = 300  # characters
_UNKNOWN_AUTHORITY = (2, 7, 18, 19, 20, 21)  # X509_V_ERR_..., see openssl-verification-options(1)
_NO_PROXY = "no address of a proxy; expected http://, https://, socks4://, socks5:// or socks5h://, <host> and :<port>"
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST")


def open_session(head_seconds: float = HEAD_SECONDS) -> requests.Session:
    """Returns a session that trusts the certificates which the environment names.

    Args:
        head_seconds: the time for the head of an answer, from its first byte.
    """
    session = _Session()
    session.mount("https://", _Adapter(head_seconds))
    session.mount("http://", _Adapter(head_seconds))
    return session


class _Session(Session):
    """Follows redirects to http and https alone, and never from https to http."""

    def __init__(self) -> None:
        super().__init__()
        self.max_redirects = MOST_REDIRECTS

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        try:
            location = super().get_redirect_target(resp)
            target = urljoin(resp.url, location) if location is not None else ""
            scheme = urlsplit(target).scheme
        except ValueError:  # of an address that is none, also of one that is not UTF-8
            raise Unavailable("redirects to what is no address") from None
        if location is not None and scheme not in ("http", "https"):
            raise Unavailable(f"redirects to {_shown(target)}; expected an address of http or https")
        if resp.url.startswith("https:") and scheme == "http":
            raise Unavailable(f"redirects from https to {_shown(target)}, which anybody on the way could change")
        return location


def _shown(address: str) -> str:
    return show_name(public_address(address))


class _Adapter(HTTPAdapter):
    """Reads the settings of certificates and of the proxy when a request needs them, and not before."""

    def __init__(self, head_seconds: float) -> None:
        self._head_seconds = head_seconds
        super().__init__()

    @functools.cached_property
    def _trust(self) -> ssl.SSLContext | None:
        return trust_certificates()

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        # requests accepts <host>:<port>, but not with a user name before it.
        proxies = options.get("proxies") or {}
        options["proxies"] = {key: _with_scheme(proxy) for key, proxy in proxies.items()}
        if (proxy := select_proxy(str(request.url), options["proxies"])) and not _has_host(proxy):
            raise Misconfigured(f"{_describe_setting(str(request.url), proxy)}: {_NO_PROXY}")
        response = super().send(request, *args, **options)
        if response.is_redirect:
            response.raw.close()  # requests would read all of its body into memory, and decompress it
        return response

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        host, options = super().build_connection_pool_key_attributes(request, verify, cert)
        if host["scheme"] == "https" and self._trust:
            return host, {"ssl_context": self._trust, "cert_reqs": "CERT_REQUIRED"}
        return host, options

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        if not (url.lower().startswith("https:") and self._trust):
            super().cert_verify(conn, url, True, cert)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        if proxy.lower().startswith("https:") and self._trust:
            options["proxy_ssl_context"] = self._trust
        return super().proxy_manager_for(proxy, **options)

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Mapping[str, str] | None = None, cert: Any = None
    ) -> Any:
        try:
            pool: Any = super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
            if "response_class" not in vars(pool.ConnectionCls):
                pool.ConnectionCls = limit_answers(pool.ConnectionCls, self._head_seconds)
            return pool
        except (ValueError, HTTPError) as error:  # whose text may have the password
            proxy = select_proxy(str(request.url), dict(proxies or {}))
            if proxy is None:
                raise
            setting = _describe_setting(str(request.url), proxy)
            raise Misconfigured(f"{setting}: {_describe_refusal(error)}") from None


def _named_certificates() -> list[tuple[str, Path]]:
    """Returns each variable that is set with the file or folder it names; SSL_CERT_DIR may name several folders."""
    named = []
    for name in CERTIFICATES:
        value = os.environ.get(name, "")
        places = [Path(place) for place in (value.split(os.pathsep) if name == "SSL_CERT_DIR" else [value]) if place]
        there = [place for place in places if place.exists()]  # lists of folders are for several systems
        named += [(name, place) for place in there or places]
    return named


def trust_certificates() -> ssl.SSLContext | None:
    """Returns a context that trusts all certificates which the variables name, or None where none is set.

    As with curl, a certificate among them is trusted for what it signed, an intermediate authority's too.

    Raises:
        Misconfigured: names the variable and the path that holds no certificates.
    """
    named = _named_certificates()
    if not named:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    for name, path in named:
        if fault := _add(context, path):
            raise Misconfigured(
                f"{name}={path}: {fault}; expected certificates to trust, a PEM file or a folder of them; correct or"
                " unset it"
            )
    return context


def _add(context: ssl.SSLContext, path: Path) -> str:
    """Adds the certificates of a file or folder; returns what is wrong with it, or ""."""
    if not path.exists():
        return "no such file"
    if path.is_dir():
        if any(re.fullmatch(r"[0-9a-f]{8}\.\d+", entry.name) for entry in path.iterdir()):
            context.load_verify_locations(capath=path)  # OpenSSL finds them by their names
            return ""
        faults = [_add(context, file) for file in path.iterdir() if file.is_file()]
        return "" if "" in faults else "a folder without certificates"
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        return "holds no certificates" if path.stat().st_size else "an empty file"
    except OSError as error:
        return str(error.strerror).lower()
    return ""


def _describe_setting(url: str, proxy: str) -> str:
    """Returns the proxy of an address with the variable that names it, without its password."""
    lower = (f"{urlsplit(url).scheme}_proxy", "all_proxy")
    names = (name for names in zip(lower, map(str.upper, lower), strict=True) for name in names)
    set_ones = (name for name in names if os.environ.get(name))
    name = next((name for name in set_ones if _with_scheme(os.environ[name]) == _with_scheme(proxy)), None)
    return f"{name or 'the proxy of this system'}={public_address(_with_scheme(proxy))}"


def _with_scheme(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"


def _has_host(proxy: str) -> bool:
    """Whether an address names a host that there may be; with others requests and urllib3 fail in ways of their own."""
    try:
        return bool((urlsplit(proxy).hostname or "").encode("idna"))
    except ValueError:  # of an empty or too long label, as in a..b
        return False


def _describe_refusal(error: Exception) -> str:
    if "Missing dependencies for SOCKS" in str(error):
        return "a SOCKS proxy needs PySocks; install it with pip install pysocks"
    return _NO_PROXY


def explain(error: BaseException | None) -> Unavailable | None:
    """Returns what is wrong where a connection fails, or None for another error."""
    return (find_final_fault(error) or describe_failure(error)) if isinstance(error, requests.ConnectionError) else None


def find_final_fault(error: requests.ConnectionError) -> Unavailable | None:
    """Returns what is wrong where a connection fails for a reason that another try cannot mend, else None."""
    cause = find_cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _describe_certificate(cause)
    if isinstance(cause, ssl.SSLError) and cause.reason in _NO_TLS:
        if isinstance(error, requests.exceptions.ProxyError):
            return Misconfigured(f"{_proxy_of(error)}: the proxy does not speak TLS itself; write http:// for it")
        return Unavailable("it answers without TLS; an http:// address?")
    if refusal := re.search(r"Tunnel connection failed: (\d+.*)", str(cause)):
        return Misconfigured(f"{_proxy_of(error)}: the proxy answers HTTP {refusal[1]}{advise_on(refusal[1])}")
    return None


def advise_on(status: str) -> str:
    """Returns what to do about the status with which a proxy refuses, "" for nothing special."""
    if status.startswith("407"):
        return "; it expects a user name and a password: http://<user>:<password>@<host>:<port>"
    return ""


def _describe_certificate(error: ssl.SSLCertVerificationError) -> Unavailable:
    """Returns why a certificate was not accepted, and what to do."""
    what = f"its certificate cannot be verified: {error.verify_message.rstrip('.')}"
    if error.verify_code not in _UNKNOWN_AUTHORITY:  # expired, or of another host
        return Unavailable(f"{what}; check the address and this machine's clock, or tell whoever runs the server")
    named = ", ".join(f"{name}={path}" for name, path in _named_certificates())
    return Misconfigured(
        f"{what}: the authority that signed it is not among the certificates of {named or 'certifi, the default'}; if"
        " it is your organisation's own, set SSL_CERT_FILE=<a PEM file with that authority's certificate>, such as the"
        " system's /etc/ssl/certs/ca-certificates.crt"
    )


def describe_failure(error: requests.ConnectionError) -> Unavailable:
    """Returns why there is no connection, and through which proxy none."""
    proxy = _proxy_of(error)
    if not proxy:
        return Unreachable(describe_error(error))
    return Misconfigured(f"{proxy}: no connection through the proxy ({describe_error(error)})")


def _proxy_of(error: requests.ConnectionError) -> str:
    """Returns the proxy of the request that failed, with the variable that names it, or ""."""
    url = str(error.request.url) if error.request is not None else ""
    proxy = select_proxy(url, get_environ_proxies(url))
    return _describe_setting(url, proxy) if proxy else ""


def describe_error(error: BaseException) -> str:
    """Returns the cause in one line; it may hold what a stranger sent."""
    cause = find_cause(error)
    text = escape(hide_secrets(str(cause)))
    text = text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."
    if isinstance(cause, BadAnswer):
        return text
    return f"{'no valid HTTP' if is_malformed(error) else type(error).__name__}: {text}"


def is_malformed(error: BaseException) -> bool:
    """Whether the server answered with what is not HTTP, or dripped, rather than that the connection was lost."""
    lost = (http.client.RemoteDisconnected, http.client.IncompleteRead)
    cause = find_cause(error)
    return isinstance(cause, http.client.HTTPException) and not isinstance(cause, lost)


def find_cause(error: BaseException) -> BaseException:
    """Returns what http.client says of an answer, else the innermost cause; requests wraps it several times."""
    causes = [*_causes(error)]
    return next((cause for cause in causes if isinstance(cause, http.client.HTTPException)), causes[-1])


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        inner = error.args[0] if error.args else None  # of urllib3's SSLError
        error = error.__cause__ or error.__context__ or (inner if isinstance(inner, BaseException) else None)
