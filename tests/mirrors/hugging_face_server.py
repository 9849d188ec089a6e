"""A stand-in of Hugging Face's HTTP interface, as far as huggingface_hub 2.4.0 uses it without xet.

It holds repositories in memory, and checks what the real host checks: the token, digests of large files, the parent of
a commit, and that a tag is new.
"""

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field

from tests.mirrors.standin import Answer, Request, StandIn, json_answer

TOKEN = "hf_planted_secret_token"
_LARGE = re.compile(r"\.pb$|\.npz$|\.onnx$|\.tflite$|^variables/")
_PAGE = 4  # entries of a list of files
_ATTRIBUTES = b"*.pb filter=lfs diff=lfs merge=lfs -text\n"

Tree = dict[str, bytes]  # the content of each file of a commit, by path


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass
class Repository:
    """A repository: the tree of each commit, and the commit of each branch and tag."""

    commits: dict[str, Tree] = field(default_factory=dict)
    main: str = ""
    tags: dict[str, str] = field(default_factory=dict)

    def add(self, tree: Tree) -> str:
        """Adds a commit to the main branch; returns its oid."""
        oid = hashlib.sha1(f"{len(self.commits)} {sorted(tree)}".encode(), usedforsecurity=False).hexdigest()
        self.commits[oid], self.main = dict(tree), oid
        return oid

    def resolve(self, revision: str) -> str | None:
        oid = {"main": self.main, **self.tags}.get(revision, revision)
        return oid if oid in self.commits else None


class HuggingFace(StandIn):
    """Hugging Face; attributes as those of StandIn.

    Attributes:
        repositories: by <organisation>/<name>.
        large: the large files that were uploaded, by SHA-256.
    """

    def __init__(self) -> None:
        super().__init__()
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}

    def answer(self, request: Request) -> Answer:
        if request.path.startswith("/lfs/"):
            return self._put_large(request)
        is_write = request.method == "POST"
        if is_write and request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return json_answer({"error": "Invalid credentials"}, 401, {"X-Error-Message": "Invalid credentials"})
        if request.path == "/api/repos/create":
            return self._create(request)
        if request.path == "/api/validate-yaml":
            return json_answer({"errors": [], "warnings": []})
        for pattern, method in (
            (r"/api/models/([^/]+/[^/]+)/(refs)", self._refs),
            (r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", self._tree),
            (r"/api/models/([^/]+/[^/]+)/preupload/([^/]+)", self._preupload),
            (r"/api/models/([^/]+/[^/]+)/commit/(main)", self._commit),
            (r"/api/models/([^/]+/[^/]+)/tag/([^/]+)", self._tag),
            (r"/api/models/([^/]+/[^/]+)/revision/([^/]+)", self._revision),
            (r"/([^/]+/[^/]+)\.git/info/lfs/objects/(batch)", self._batch),
            (r"/([^/]+/[^/]+)/resolve/(.+)", self._resolve),
        ):
            if match := re.fullmatch(pattern, request.path):
                repository = self.repositories.get(match[1])
                if repository is None:
                    return json_answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
                return method(repository, match[2], request)
        return json_answer({"error": f"no such address: {request.path}"}, 400)

    def _create(self, request: Request) -> Answer:
        values = request.json()
        name = f"{values['organization']}/{values['name']}"
        if name in self.repositories:
            return json_answer({"error": "You already created this model repo", "url": self.address}, 409)
        self.repositories[name] = Repository()
        self.repositories[name].add({".gitattributes": _ATTRIBUTES})
        return json_answer({"url": f"{self.address}/{name}", "name": name})

    def _refs(self, repository: Repository, _: str, request: Request) -> Answer:
        branches = [{"name": "main", "ref": "refs/heads/main", "targetCommit": repository.main}]
        tags = [{"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": oid} for tag, oid in repository.tags.items()]
        return json_answer({"branches": branches, "converts": [], "tags": tags})

    def _tree(self, repository: Repository, revision: str, request: Request) -> Answer:
        oid = repository.resolve(revision)
        if oid is None:
            return json_answer({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
        entries = [_describe(path, content) for path, content in sorted(repository.commits[oid].items())]
        folders = sorted({path.rpartition("/")[0] for path in repository.commits[oid] if "/" in path})
        entries += [{"type": "directory", "oid": "0" * 40, "size": 0, "path": path} for path in folders]
        start = int(request.query.get("cursor", 0))
        following = f'<{self.address}{request.path}?recursive=True&cursor={start + _PAGE}>; rel="next"'
        links = {"Link": following} if start + _PAGE < len(entries) else {}
        return json_answer(entries[start : start + _PAGE], headers=links)

    def _preupload(self, repository: Repository, _: str, request: Request) -> Answer:
        tree = repository.commits[repository.main]
        files = []
        for file in request.json()["files"]:
            large, old = bool(_LARGE.search(file["path"])), tree.get(file["path"])
            oid = None if old is None else hashlib.sha256(old).hexdigest() if large else git_oid(old)
            mode = "lfs" if large else "regular"
            files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return json_answer({"files": files})

    def _batch(self, repository: Repository, _: str, request: Request) -> Answer:
        objects = []
        for value in request.json()["objects"]:
            actions = {"upload": {"href": f"{self.address}/lfs/{value['oid']}?X-Amz-Signature=secret"}}
            objects.append(value | ({} if value["oid"] in self.large else {"actions": actions}))
        return json_answer({"transfer": "basic", "objects": objects})

    def _put_large(self, request: Request) -> Answer:
        oid = request.path.rpartition("/")[2]
        if "Authorization" in request.headers:  # the store is another company's
            return json_answer({"error": "two ways to sign in"}, 400)
        if hashlib.sha256(request.body).hexdigest() != oid:
            return json_answer({"error": "wrong digest"}, 400)
        self.large[oid] = request.body
        return Answer(200)

    def _commit(self, repository: Repository, _: str, request: Request) -> Answer:
        header, *operations = map(json.loads, request.body.splitlines())
        parent = header["value"].get("parentCommit")
        if parent is not None and parent != repository.main:
            return json_answer({"error": "A commit has happened since. Please refresh and try again."}, 412)
        tree = dict(repository.commits[repository.main])
        for operation in operations:
            value = operation["value"]
            match operation["key"]:
                case "file":
                    tree[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile" if value["oid"] in self.large:
                    tree[value["path"]] = self.large[value["oid"]]
                case "deletedFile" if value["path"] in tree:
                    del tree[value["path"]]
                case key:
                    return json_answer({"error": f"{key} of {value['path']} is impossible"}, 400)
        oid, name = repository.add(tree), request.path.removeprefix("/api/models/").removesuffix("/commit/main")
        return json_answer({"success": True, "commitOid": oid, "commitUrl": f"{self.address}/{name}/commit/{oid}"})

    def _tag(self, repository: Repository, revision: str, request: Request) -> Answer:
        tag, oid = request.json()["tag"], repository.resolve(revision)
        if tag in repository.tags:
            return json_answer({"error": "Tag reference exists already"}, 409)
        if oid is None:
            return json_answer({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
        repository.tags[tag] = oid
        return json_answer({})

    def _revision(self, repository: Repository, revision: str, request: Request) -> Answer:
        oid = repository.resolve(revision)
        if oid is None:
            return json_answer({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
        siblings = [{"rfilename": path} for path in repository.commits[oid]]
        return json_answer({"id": "a/b", "sha": oid, "private": False, "tags": [], "siblings": siblings})

    def _resolve(self, repository: Repository, place: str, request: Request) -> Answer:
        revision, _, path = place.partition("/")
        oid = repository.resolve(revision)
        content = repository.commits[oid].get(path) if oid else None
        if content is None:
            return json_answer({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
        etag = hashlib.sha256(content).hexdigest() if _LARGE.search(path) else git_oid(content)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": str(oid), "Content-Length": str(len(content))}
        return Answer(200, content, headers)


def _describe(path: str, content: bytes) -> dict[str, object]:
    entry: dict[str, object] = {"type": "file", "oid": git_oid(content), "size": len(content), "path": path}
    if not _LARGE.search(path):
        return entry
    pointer = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return entry | {"oid": "f" * 40, "lfs": pointer}
