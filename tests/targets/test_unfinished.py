"""Tests of pipeline.targets.unfinished: the signature of its requests."""

from datetime import UTC, datetime

from pipeline.targets.unfinished import Key, sign


def test_signature_is_amazons() -> None:
    """Botocore signs the same requests; nanio, which checks them, answers in test_stores.py."""
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    key = Key("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a/session+token=")
    for method, url in (
        ("GET", "https://s3.eu-west-1.amazonaws.com/hub?prefix=hubs%2Fa%20b&uploads="),
        ("DELETE", "http://127.0.0.1:9000/hub/a%20b/%C3%A4.tar.gz?uploadId=a%2Bb%3D"),
    ):
        request = AWSRequest(method=method, url=url)
        S3SigV4Auth(Credentials(key.name, key.secret, key.token), "s3", "eu-west-1").add_auth(request)
        now = datetime.strptime(request.context["timestamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        assert sign(key, "eu-west-1", method, url, now)["authorization"] == request.headers["Authorization"]


def test_key_shows_nothing() -> None:
    assert "planted" not in repr(Key("planted", "planted", "planted"))
