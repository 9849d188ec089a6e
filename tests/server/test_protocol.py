"""What each address answers, by tfhub.dev's protocol and in a browser."""

from urllib.parse import urljoin

import pytest

from tests.server.harness import HTML, MODULE, TARBALL, Running, short


@pytest.mark.parametrize(
    ("target", "status", "media_type", "body"),
    [
        ("/", 200, "text/html; charset=utf-8", HTML),
        ("/index.json", 200, "application/json", None),
        ("/site/style.css", 200, "text/css; charset=utf-8", None),
        ("/site/hub.js", 200, "text/javascript; charset=utf-8", None),
        ("/site/litert-2.5.3/runtime.wasm.gz", 200, "application/gzip", b"\x1f\x8b"),
        ("/site/litert-2.5.3/runtime.wasm.gz?tf-hub-format=uncompressed", 200, "application/gzip", b"\x1f\x8b"),
        (MODULE + "/model.tflite", 200, "application/octet-stream", b"TFL3"),
        ("/alice/alice", 200, "text/html; charset=utf-8", HTML),
        ("/alice/alice.md", 200, "text/markdown; charset=utf-8", b"# alice\n"),
        (MODULE, 200, "text/html; charset=utf-8", HTML),
        (MODULE + "?anything=else", 200, "text/html; charset=utf-8", HTML),
        (MODULE + ".md", 200, "text/markdown; charset=utf-8", b"# net 1\n"),
        (MODULE + "/plots/accuracy.svg", 200, "image/svg+xml", b"<svg/>"),
        (MODULE + "?tf-hub-format=compressed", 200, "application/gzip", TARBALL),
        (MODULE + "?tf-hub-format=compressed,uncompressed", 200, "application/gzip", TARBALL),
        (MODULE + "?tf-hub-format=x&tf-hub-format=compressed", 200, "application/gzip", TARBALL),
        (MODULE + ".tar.gz", 200, "application/gzip", TARBALL),
        (MODULE + ".tar.gz?tf-hub-format=compressed", 200, "application/gzip", TARBALL),
        (MODULE + "?tf-hub-format=uncompressed", 303, "text/plain; charset=utf-8", b"gs://bucket/prefix/alice/net/1"),
        (MODULE + ".tar.gz?tf-hub-format=uncompressed", 303, "text/plain; charset=utf-8", None),
        (MODULE + "?tf-hub-format=zip", 400, "text/plain; charset=utf-8", b"expected compressed or uncompressed"),
        (MODULE + "?lite-format=tflite", 200, "application/octet-stream", b"TFL3"),
        (MODULE + "?lite-format=tflite&tf-hub-format=compressed", 200, "application/octet-stream", b"TFL3"),
        (MODULE + "?lite-format=zip", 400, "text/plain; charset=utf-8", b"Unknown lite-format='zip'; expected tflite."),
        ("/alice/net/2?lite-format=tflite", 404, "text/plain; charset=utf-8", b"This version has no model.tflite"),
        ("/alice/net/3?lite-format=tflite", 404, "text/plain; charset=utf-8", b"no such module, page or file"),
        ("/alice/collections/nets/1?lite-format=tflite", 404, "text/plain; charset=utf-8", b"There is no such"),
        (MODULE + "?tfjs-format=file", 404, "text/plain; charset=utf-8", b"LiteRT.js runs its LiteRT file in browsers"),
        (MODULE + "/model.json?tfjs-format=file", 404, "text/plain; charset=utf-8", b"ask for lite-format=tflite"),
        ("/alice/net/model.json?tfjs-format=file", 404, "text/plain; charset=utf-8", b"ask for lite-format=tflite"),
        ("/alice/net?tfjs-format=file", 404, "text/plain; charset=utf-8", b"ask for lite-format=tflite"),
        ("/alice/net/2?tfjs-format=file", 404, "text/plain; charset=utf-8", b"no LiteRT file either"),
        ("/alice/net/3?tfjs-format=file", 404, "text/plain; charset=utf-8", b"no such module, page or file"),
        ("/alice/collections/nets?tfjs-format=file", 404, "text/plain; charset=utf-8", b"no such module"),
        ("/index.json?tfjs-format=file", 404, "text/plain; charset=utf-8", b"no such module"),
        (MODULE + "?tfjs-format=zip", 400, "text/plain; charset=utf-8", b"Unknown tfjs-format='zip'; expected file."),
        (MODULE + "/onnx/model.onnx", 200, "application/octet-stream", b"onnx"),
        (MODULE + "/plain.tar.gz", 200, "application/gzip", b"plain"),
        (MODULE + "/plain.tar.gz?tf-hub-format=compressed", 200, "application/gzip", b"plain"),
        (MODULE + "/plain.tar.gz?tf-hub-format=uncompressed", 404, "text/plain; charset=utf-8", b"not unpacked"),
        ("/alice/old/1", 200, "text/markdown; charset=utf-8", b"# it has no HTML page\n"),
        ("/alice/collections/nets/1", 200, "text/html; charset=utf-8", HTML),
        ("/alice/collections/nets/1?tf-hub-format=compressed", 404, "text/plain; charset=utf-8", None),
        ("/alice/net/3", 404, "text/plain; charset=utf-8", b"no such module, page or file"),
        ("/alice/net/3?tf-hub-format=compressed", 404, "text/plain; charset=utf-8", None),
        ("/alice/net/3?tf-hub-format=uncompressed", 404, "text/plain; charset=utf-8", None),
        ("/alice/net/01", 404, "text/plain; charset=utf-8", None),
        ("/bob", 404, "text/plain; charset=utf-8", None),
        ("/alice/other", 404, "text/plain; charset=utf-8", None),
        ("/alice/collections", 404, "text/plain; charset=utf-8", None),
        ("/site", 404, "text/plain; charset=utf-8", None),
        ("/site/", 404, "text/plain; charset=utf-8", None),
        ("/alice/program.exe", 404, "text/plain; charset=utf-8", None),
        ("http://elsewhere/alice/alice.md", 200, "text/markdown; charset=utf-8", b"# alice\n"),  # as proxies ask
    ],
    ids=short,
)  # fmt: skip
def test_every_address_has_its_answer(
    shared: Running, target: str, status: int, media_type: str, body: bytes | None
) -> None:
    answer = shared.ask(target)
    assert (answer.status, answer["content-type"]) == (status, media_type)
    assert body is None or body in answer.body
    assert answer["content-length"] == str(len(answer.body))
    assert answer["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in str(answer["content-security-policy"])


def test_only_the_worker_may_compile_webassembly(shared: Running) -> None:
    policies = {path: str(shared.ask(path)["content-security-policy"]) for path in (
        "/site/litert-2.5.3/worker.js", "http://elsewhere/site/litert-2.5.3/worker.js", MODULE, "/site/hub.js",
        "/site/litert-2.5.3/worker.js/x.html",
    )}  # fmt: skip
    assert [path for path, policy in policies.items() if "wasm-unsafe-eval" in policy] == list(policies)[:2]
    for policy in policies.values():  # what default-src does not decide
        assert "base-uri 'none'; form-action '" in policy
        assert policy.endswith("frame-ancestors 'none'")
    assert all("unsafe-inline" not in policy and "'unsafe-eval'" not in policy for policy in policies.values())


def test_a_picture_may_have_its_own_colours_and_nothing_else(shared: Running) -> None:
    first = shared.ask(MODULE + "/plots/accuracy.svg")
    again = shared.ask(MODULE + "/plots/accuracy.svg", If_None_Match=str(first["etag"]))
    assert (first.status, again.status) == (200, 304)
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
    assert first["content-security-policy"] == again["content-security-policy"] == policy


@pytest.mark.parametrize(
    ("target", "newest"),
    [
        ("/alice/net", "/alice/net/10"),  # not 9; 11 has no tarball yet, 12 and 13 are no files
        ("/alice/net/", "/alice/net/10"),
        ("/alice/net?tf-hub-format=compressed", "/alice/net/10?tf-hub-format=compressed"),
        ("/alice/net?lite-format=tflite", "/alice/net/10?lite-format=tflite"),
        ("/alice/old?a=%2e%2e&b", "/alice/old/1?a=%2e%2e&b"),
        ("/alice/collections/nets", "/alice/collections/nets/1"),
        ("/alice", "/alice/alice"),
        ("/alice/", "/alice/alice"),
        ("/alice/net/1/", "/alice/net/1"),
        ("/healthz/", "/healthz/healthz"),
    ],
)
def test_handles_lead_to_the_newest_version(shared: Running, target: str, newest: str) -> None:
    answer = shared.ask(target)
    assert answer.status == 302
    location = str(answer["location"])
    assert not location.startswith(("/", "http"))  # right under any path of a proxy
    assert urljoin(shared.address + target, location) == shared.address + newest
    assert urljoin("https://proxy/models" + target, location) == "https://proxy/models" + newest
    assert shared.ask(newest).status == 200


def test_a_hub_without_a_bucket_says_so(own: Running) -> None:
    answer = own.ask(MODULE + "?tf-hub-format=uncompressed")
    assert answer.status == 404
    assert b"no unpacked modules in a bucket; ask for tf-hub-format=compressed" in answer.body


def test_the_uncompressed_location_has_no_header_that_urllib_would_follow(shared: Running) -> None:
    assert shared.ask(MODULE + "?tf-hub-format=uncompressed")["location"] is None


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "text/html"),
        ("*/*", "text/html"),
        ("text/markdown", "text/markdown"),
        ("text/markdown, text/html;q=0.9", "text/markdown"),
        ("text/markdown;q=0.5, text/html;q=0.9", "text/html"),
        ("text/html;q=0, text/*", "text/markdown"),
        ("text/*;q=0.3, text/markdown;q=0.2, */*;q=1", "text/html"),
        ("TEXT/Markdown; variant=GFM, */*;q=0.1", "text/markdown"),
        ("text/markdown;q=2, text/html;q=x", "text/html"),  # malformed weights count for nothing
        ("image/png", "text/html"),
    ],
)
def test_accept_chooses_the_form_of_a_page(shared: Running, accept: str, expected: str) -> None:
    answer = shared.ask(MODULE, **({"Accept": accept} if accept else {}))
    assert str(answer["content-type"]).split(";")[0] == expected
    assert "Accept" in str(answer["vary"]).split(", ")
