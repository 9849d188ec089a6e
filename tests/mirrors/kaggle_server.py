"""A stand-in of Kaggle's HTTP interface, as far as kagglesdk and kagglehub 1.0.3 use it for models.

It holds models in memory and numbers the versions of their variations, also those with the same files.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from tests.mirrors.standin import Answer, Request, StandIn, json_answer

TOKEN = "kaggle_planted_secret_token"
Tree = dict[str, bytes]
_FIELDS = ("overview", "usage", "licenseName", "fineTunable", "trainingData")


@dataclass
class Model:
    """A model: what Kaggle shows of it, what it shows of each variation, and the files of each version."""

    page: dict[str, Any]
    pages: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, list[Tree]] = field(default_factory=dict)


@dataclass
class Blob:
    """A file that is being uploaded."""

    name: str
    size: int
    content: bytes = b""


class Kaggle(StandIn):
    """Kaggle; attributes as those of StandIn.

    Attributes:
        owner: who may write.
        models: by name.
        is_slow: whether nobody sees new versions yet, which are still processed.
        hidden: how many of the newest versions nobody sees.
    """

    def __init__(self, owner: str) -> None:
        super().__init__()
        self.owner = owner
        self.models: dict[str, Model] = {}
        self.blobs: dict[str, Blob] = {}
        self.is_slow = False
        self.hidden = 0

    def answer(self, request: Request) -> Answer:
        if match := re.fullmatch(r"/blob/(\w+)", request.path):
            return self._put_blob(self.blobs[match[1]], request)
        if match := re.fullmatch(r"/files/([^/]+)/([^/]+)/(\d+)/(.+)", request.path):
            return Answer(200, self.models[match[1]].versions[match[2]][int(match[3]) - 1][match[4]])
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return json_answer({"code": 401, "message": "Unauthenticated"}, 401)
        match = re.fullmatch(r"/api/v1/(?:models\.ModelApiService|blobs\.BlobApiService)/(\w+)", request.path)
        method = getattr(self, f"_{match[1]}", None) if match else None
        if method is None:
            return json_answer({"code": 404, "message": f"no such address: {request.path}"}, 404)
        values = request.json()
        if values.get("ownerSlug", self.owner) != self.owner:
            return json_answer({"code": 403, "message": "Permission denied"}, 403)
        answer: Answer = method(values)
        return answer

    def _StartBlobUpload(self, values: dict[str, Any]) -> Answer:  # noqa: N802
        token = f"blob{len(self.blobs)}"
        self.blobs[token] = Blob(values["name"], values.get("contentLength", 0))
        return json_answer({"token": token, "createUrl": f"{self.address}/blob/{token}"})

    def _put_blob(self, blob: Blob, request: Request) -> Answer:
        ends = re.fullmatch(r"bytes (\d+)-\d+/\d+", request.headers.get("Content-Range", ""))
        if ends and int(ends[1]) != len(blob.content):
            return Answer(400)
        if ends or not blob.size:
            blob.content += request.body
        if len(blob.content) == blob.size:
            return Answer(200)
        return Answer(308, headers={"Range": f"bytes=0-{len(blob.content) - 1}"} if blob.content else {})

    def _tree(self, body: dict[str, Any], folder: str = "") -> Tree:
        tree = {}
        for file in body.get("files", []):
            blob = self.blobs[file["token"]]
            assert len(blob.content) == blob.size, f"{blob.name} was not uploaded whole"
            tree[folder + blob.name] = blob.content
        for directory in body.get("directories", []):
            tree |= self._tree(directory, f"{folder}{directory['name']}/")
        return tree

    def _GetModel(self, values: dict[str, Any]) -> Answer:  # noqa: N802
        model = self.models.get(values["modelSlug"])
        return json_answer(model.page) if model else _missing()

    def _CreateModel(self, values: dict[str, Any]) -> Answer:  # noqa: N802
        self.models[values["slug"]] = Model(dict(values))
        return json_answer({"id": 1, "ref": values["slug"], "url": "https://kaggle.example"})

    def _UpdateModel(self, values: dict[str, Any]) -> Answer:  # noqa: N802
        masked = {name: values[name] for name in values["updateMask"].split(",") if name in values}
        self.models[values["modelSlug"]].page |= masked
        return json_answer({"id": 1})

    def _variation(self, values: dict[str, Any]) -> tuple[Model, str] | None:
        model = self.models.get(values["modelSlug"])
        name = values["instanceSlug"]
        assert values["framework"] == "MODEL_FRAMEWORK_TENSOR_FLOW_2"
        return (model, name) if model and name in model.versions else None

    def _GetModelInstance(self, values: dict[str, Any]) -> Answer:  # noqa: N802
        found = self._variation(values)
        if not found:
            return _missing()
        number = len(found[0].versions[found[1]]) - self.hidden
        return json_answer(found[0].pages[found[1]] | {"versionNumber": number}) if number else _missing()

    def _CreateModelInstance(self, values: dict[str, Any]) -> Answer:  # noqa: N802
        model, body = self.models[values["modelSlug"]], values["body"]
        if body["instanceSlug"] in model.versions:
            return json_answer({"error": "The instance exists already", "errorCode": 409})
        model.pages[body["instanceSlug"]] = {name: body[name] for name in _FIELDS if name in body}
        model.versions[body["instanceSlug"]] = [self._tree(body)]
        return json_answer({"id": 2, "url": "https://kaggle.example"})

    def _UpdateModelInstance(self, values: dict[str, Any]) -> Answer:  # noqa: N802
        found = self._variation(values)
        assert found
        found[0].pages[found[1]] |= {name: values[name] for name in values["updateMask"].split(",") if name in values}
        return json_answer({"id": 2})

    def _CreateModelInstanceVersion(self, values: dict[str, Any]) -> Answer:  # noqa: N802
        found = self._variation(values)
        assert found
        found[0].versions[found[1]].append(self._tree(values["body"]))
        self.hidden += self.is_slow
        return json_answer({"id": 3, "url": "https://kaggle.example"})

    def _ListModelInstanceVersionFiles(self, values: dict[str, Any]) -> Answer:  # noqa: N802
        found = self._variation(values)
        assert found
        tree = found[0].versions[found[1]][values["versionNumber"] - 1]
        return json_answer({"files": [{"name": path, "size": len(content)} for path, content in tree.items()]})

    def _DownloadModelInstanceVersion(self, values: dict[str, Any]) -> Answer:  # noqa: N802
        found = self._variation(values)
        tree = found[0].versions[found[1]][values["versionNumber"] - 1] if found else {}
        if values["path"] not in tree:
            return _missing()
        place = f"{values['modelSlug']}/{values['instanceSlug']}/{values['versionNumber']}/{values['path']}"
        return Answer(302, headers={"Location": f"{self.address}/files/{place}"})


def _missing() -> Answer:
    return json_answer({"code": 404, "message": "Not found"}, 404)
