"""The certificates and proxies that the environment names, and what is wrong with them where a connection fails.

    REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE, SSL_CERT_FILE, SSL_CERT_DIR
                            the certificates to trust, the first that is set; without one, those of certifi
    https_proxy, http_proxy, all_proxy, no_proxy
                            in lower or upper case, read by requests; http://, https://, socks4://, socks5://, socks5h://

requests itself reads neither SSL_CERT_FILE nor SSL_CERT_DIR, which OpenSSL, curl, uv and Python's own client read.
"""

import os
import re
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy
from urllib3.exceptions import HTTPError

from pipeline.base.fault import Misconfigured, Unavailable, Unreachable, hide_password

CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
_UNKNOWN_AUTHORITY = (2, 7, 18, 19, 20, 21)  # X509_V_ERR_..., see openssl-verification-options(1)
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST")


def open_session() -> requests.Session:
    """Returns a session that trusts the certificates which the environment names."""
    session = requests.Session()
    session.mount("https://", _Adapter())
    session.mount("http://", _Adapter())
    return session


class _Adapter(HTTPAdapter):
    """Checks the settings of certificates and of the proxy when a request needs them, and not before."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if str(request.url).startswith("https:"):
            options["verify"] = find_certificates()
        # requests accepts <host>:<port>, but not with a user name before it.
        proxies = options.get("proxies") or {}
        options["proxies"] = {key: _with_scheme(proxy) for key, proxy in proxies.items()}
        return super().send(request, *args, **options)

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Mapping[str, str] | None = None, cert: Any = None
    ) -> Any:
        try:
            return super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
        except (ValueError, HTTPError) as error:  # whose text may have the password
            proxy = select_proxy(str(request.url), dict(proxies or {}))
            if proxy is None:
                raise
            raise Misconfigured(f"{_describe_setting(proxy)}: {_describe_refusal(error)}") from None


def find_certificates() -> str | bool:
    """Returns the file or folder of certificates to trust, or True for those of certifi.

    Raises:
        Misconfigured: names the variable and the path that holds no certificates.
    """
    name = next((name for name in CERTIFICATES if os.environ.get(name)), None)
    if name is None:
        return True
    path = Path(os.environ[name])
    if fault := _find_fault(path):
        raise Misconfigured(
            f"{name}={path}: {fault}; expected a PEM file of certificates to trust; correct or unset it"
        )
    return str(path)


def _find_fault(path: Path) -> str:
    """Returns what is wrong with a file or folder of certificates, or ""."""
    if not path.exists():
        return "no such file"
    if path.is_dir():
        hashed = any(re.fullmatch(r"[0-9a-f]{8}\.\d+", entry.name) for entry in path.iterdir())
        return "" if hashed else "a folder without hashed certificates (openssl rehash makes them)"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return "holds no certificates" if path.stat().st_size else "an empty file"
    except OSError as error:
        return str(error.strerror)
    return ""


def _describe_setting(proxy: str) -> str:
    """Returns a proxy with the variable that names it, without its password."""
    variables = {_with_scheme(value): name for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    return f"{variables.get(_with_scheme(proxy), 'the proxy of this system')}={hide_password(_with_scheme(proxy))}"


def _with_scheme(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"


def _describe_refusal(error: Exception) -> str:
    if "Missing dependencies for SOCKS" in str(error):
        return "a SOCKS proxy needs PySocks; install it with pip install pysocks"
    return "no address of a proxy; expected http://, https://, socks4://, socks5:// or socks5h://, <host> and :<port>"


def explain(error: BaseException | None) -> Unavailable | None:
    """Returns what is wrong where a connection fails, or None for another error."""
    return (find_final_fault(error) or describe_failure(error)) if isinstance(error, requests.ConnectionError) else None


def find_final_fault(error: requests.ConnectionError) -> Unavailable | None:
    """Returns what is wrong where a connection fails for a reason that another try cannot mend, else None."""
    cause = _innermost(error)
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
    name = next((name for name in CERTIFICATES if os.environ.get(name)), None)
    trusted = f"{name}={os.environ[name]} does not hold" if name else "this machine does not trust"
    return Misconfigured(
        f"{what}, which means that {trusted} the authority that signed it; if it is your organisation's own, set"
        " SSL_CERT_FILE=<a PEM file with that authority's certificate>, such as the system's"
        " /etc/ssl/certs/ca-certificates.crt"
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
    return _describe_setting(proxy) if proxy else ""


def describe_error(error: BaseException) -> str:
    """Returns the innermost cause in one line; requests wraps it several times."""
    return f"{type(error).__name__}: {_innermost(error)}"


def _innermost(error: BaseException) -> BaseException:
    return [*_causes(error)][-1]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        inner = error.args[0] if error.args else None  # of urllib3's SSLError
        error = error.__cause__ or error.__context__ or (inner if isinstance(inner, BaseException) else None)
