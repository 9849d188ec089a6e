"""Addresses without their secrets: as messages show them, records keep them, and the cache recognises them.

An address may hold a user name and a password (`https://me:password@host/a`), or a query that gives access to whoever
has it (`https://host/a?X-Amz-Signature=...`). Nobody can list the names of all such parameters, so that only those are
shown and recorded that are known to say which file is meant.
"""

import re
from collections.abc import Callable
from urllib.parse import unquote

from pipeline.base.fault import Fault

# Parameters that name a file or a form of it, with a short plain value: Hugging Face and Google Drive (download, id,
# export), S3 and Google Cloud Storage (versionId, generation), Git hosts (ref, raw), TensorFlow Hub.
_NAMES_A_FILE = re.compile(
    r"(download|dl|raw|inline|alt|export|format|tf-hub-format|id|versionId|generation|version|v|revision|rev|ref"
    r"|branch|tag|file|filename|name|path)=[\w./~+-]{0,64}",
    re.ASCII | re.IGNORECASE,
)
# Parameters that give access, or say until when: S3, Google Cloud Storage, Azure (whose names have two letters),
# CloudFront, and what others call a token, a key, a password.
_SECRET = re.compile(
    r"(x-(amz|goog|oss|cos|obs|ms)-[\w-]*|pwd|sig|sign|hmac|expire[sd]?|exp|policy|[\w-]*[_-]?key([_-]?(pair-)?id)?"
    r"|\w*accessid|auth|authorization|jwt|session\w*|code|ticket|sv|ss|srt|sp|se|st|spr|sr|sip|sk\w{1,3})",
    re.ASCII | re.IGNORECASE,
)
_SECRET_WORD = re.compile("token|secret|password|passwd|signature|credential|access_?key", re.IGNORECASE)
# One slash, three, backslashes, or a user name and a password without a scheme are typing errors. In file: an @ is part
# of a folder's name.
_SCHEME = re.compile(
    r"\s*((?!file:)[a-z][a-z0-9+.-]*:[/\\]+|(https?|ftp|gs|hf|s3):(?![/\\])|(//)?(?!file:)(?=[^/@\s:]+:[^/@\s]+@))",
    re.IGNORECASE,
)
_OBJECT_STORES = ("gs:", "hf:", "s3:")


def public_address(source: str) -> str:
    """Returns an address for messages and records, without its secrets; a path is returned as it is.

    User name, password and fragment are left out, and each parameter of the query that is not known to name a file.
    """
    return _strip(source, lambda parameter: bool(_NAMES_A_FILE.fullmatch(parameter)))


def check_public(address: str, where: str) -> None:
    """Refuses an address that pages would publish with a secret in it; `where` is the setting or key that holds it.

    Raises:
        Fault: shows the address without it.
    """
    public = public_address(address)
    if public != address or "?" in address:
        raise Fault(
            f"{where}={public}: has a user name, a query or a fragment, which everybody could read in the pages;"
            " expected http(s)://<host>/<path>"
        )


def identity(source: str) -> str:
    """Returns what tells whether two addresses lead to the same file, for digests; it may hold unknown secrets.

    A new password or signature makes no other file of it; a parameter of an unknown name does.
    """
    return _strip(source, lambda parameter: not _is_secret(parameter.partition("=")[0]))


def bucket_address(address: str) -> str:
    """Returns the gs: form of the https addresses that Google Cloud Storage gives a file; others as they are."""
    match = re.fullmatch(
        r"https://(?:storage\.googleapis\.com/([^/]+)|([^/]+)\.storage\.googleapis\.com)/(.+)", address
    )
    return f"gs://{match[1] or match[2]}/{match[3]}" if match else address


def hide_secrets(text: str) -> str:
    """Returns a text with addresses, such as the message of another library's exception, without their secrets.

    What is known to be secret is left out: user names and passwords, and the values of such parameters, of addresses
    without their host, too.
    """
    text = re.sub(r"(?<![\w+.-])([a-z][a-z0-9+.-]*://)[^\s/<>@]*(?:@[^\s/<>@]*)*@", r"\1", text, flags=re.IGNORECASE)
    return re.sub(r"(?<=[?&;#])([\w%.\[\]-]+)=[^\s&;'\"<>)]*", _hide_value, text)


def _hide_value(parameter: re.Match[str]) -> str:
    return f"{parameter[1]}=..." if _is_secret(parameter[1]) else parameter[0]


def _is_secret(name: str) -> bool:
    name = unquote(name)
    return bool(_SECRET_WORD.search(name) or _SECRET.fullmatch(name.rstrip("[]")))


def _strip(source: str, is_kept: Callable[[str], bool]) -> str:
    scheme = _SCHEME.match(source)
    if not scheme:
        return source
    rest = source[scheme.end() :]
    authority = re.split(r"[/\\?#]", rest, maxsplit=1)[0]
    # A password that contains "/", "?" or "#" makes the address invalid; it starts where a port would stand.
    port = authority.rpartition("]")[2].partition(":")[2]
    cuts_password = "@" not in authority and port.strip("0123456789")
    secret = (rest if cuts_password else authority).rpartition("@")[0]
    rest = rest[len(secret) :].removeprefix("@")
    if scheme[0].strip().lower().startswith(_OBJECT_STORES):
        # There `?`, `#` and `;` belong to the name of a file (pipeline.download.address), unless they begin a query.
        return scheme[0] + re.sub(r"[?#;&][\w%-]+=.*", "", rest, flags=re.DOTALL)
    path, _, query = rest.partition("#")[0].partition("?")
    path = re.sub(r"[;&][^/=;&]*=[^/;&]*", "", path)
    kept = [parameter for parameter in re.split("[&;]", query) if parameter and is_kept(parameter)]
    return f"{scheme[0]}{path}{'?' if kept else ''}{'&'.join(kept)}"
