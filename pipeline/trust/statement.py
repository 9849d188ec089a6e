"""The provenance of a published module, as an in-toto statement that binds its handle, version and digest.

The statement (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md) has one subject, the tarball,
whose name is `<publisher>/<module>/<version>.tar.gz`, and SLSA's provenance (https://slsa.dev/spec/v1.0/provenance) as
its predicate. pipeline.trust.envelope wraps it for signing. As in-toto asks, keys that this version does not know are
ignored; those that it knows must be there and of their types.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from pipeline.base.fault import show_name
from pipeline.base.files import Unreadable
from pipeline.base.json_files import parse_facts

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:vit-publisher:build:1"  # a name, not a page: what `parameters` and `dependencies` mean
REPORT = "report.json"
CONTENT = "contentSha256"

Scalar = str | int | float | bool | None
Json = dict[str, Any]  # a JSON object

_NAME = r"[A-Za-z0-9][\w.-]{0,199}"  # as in pipeline.hub.index
_HANDLE = re.compile(f"{_NAME}/{_NAME}/[1-9][0-9]{{0,8}}", re.ASCII)
_DIGEST = re.compile("[0-9a-f]{40,128}")  # a Git commit, SHA-256 or SHA-512, in hexadecimal
_MOST = 200  # dependencies, parameters, verdicts; the ladder has some thirty rungs
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Resource:
    """Something that a module was made from, SLSA's ResourceDescriptor.

    Attributes:
        name: what it is to the build, such as "checkpoint", "source" or "requirements.lock".
        digest: in hexadecimal, by algorithm: "sha256", or "gitCommit" of a source tree; may be empty where unknown.
        uri: where it comes from, without secrets; None where that is not public.
        annotations: what else is known of it, such as {"clean": True} of a source tree without uncommitted changes.
    """

    name: str
    digest: Mapping[str, str]
    uri: str | None = None
    annotations: Mapping[str, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ValueError for a digest that is not hexadecimal."""
        for algorithm, value in self.digest.items():
            if not _DIGEST.fullmatch(value):
                raise ValueError(f"the {show_name(algorithm)} of {show_name(self.name)} is '{show_name(value)}'")


@dataclass(frozen=True)
class BuildDefinition:
    """What the build was asked for and what it read.

    Attributes:
        parameters: what a rebuild must be told, by section and key: the member's name, its head, the section `model`,
            the collection's activation.
        dependencies: the checkpoint, the source tree and the lock file.
    """

    parameters: Mapping[str, Mapping[str, Scalar]]
    dependencies: tuple[Resource, ...]

    def dependency(self, name: str) -> Resource | None:
        """Returns the dependency of a name, or None."""
        return next((resource for resource in self.dependencies if resource.name == name), None)


@dataclass(frozen=True)
class RunDetails:
    """Who built the module with what, when, and how it was judged.

    Attributes:
        builder: a URI that names the builder, such as that of a workflow; a claim of who signed, no proof.
        versions: of the program, Python and the packages that decide the bytes, by name.
        started: when the build began, UTC, in whole seconds.
        finished: when the module was published, UTC, in whole seconds.
        verdicts: of each rung of the ladder of proofs, by its name.
        report_sha256: of the report that has them; None where there is none.
    """

    builder: str
    versions: Mapping[str, str]
    started: datetime
    finished: datetime
    verdicts: Mapping[str, str]
    report_sha256: str | None = None


@dataclass(frozen=True)
class Statement:
    """The provenance of one module.

    Attributes:
        handle: <publisher>/<module>/<version>.
        sha256: of the tarball, in hexadecimal.
        definition: what it was built from.
        run: how it was built.
        content_sha256: one digest of all files in the tarball (pipeline.saved_model.files.content_digest), by which an
            unpacked module is recognised; None where the statement does not say.
    """

    handle: str
    sha256: str
    definition: BuildDefinition
    run: RunDetails
    content_sha256: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a handle or a digest that cannot be one."""
        if not _HANDLE.fullmatch(self.handle):
            raise ValueError(f"'{show_name(self.handle)}' is no handle, expected <publisher>/<module>/<version>")
        for digest in (self.sha256, self.content_sha256):
            if digest is not None and not re.fullmatch("[0-9a-f]{64}", digest):
                raise ValueError(f"sha256 is '{show_name(digest)}', expected 64 hexadecimal digits")


def statement_path(handle: str) -> str:
    """Returns where a hub has the statement of a module."""
    return f"{handle}/provenance.dsse.json"


# Writing --------------------------------------------------------------------------------------------------------------
def render_statement(statement: Statement) -> bytes:
    """Returns a statement as JSON, the same bytes for the same statement: sorted keys, no spaces, ASCII."""
    document = {
        "_type": STATEMENT_TYPE,
        "subject": [_resource_json(_subject_of(statement))],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": _definition_json(statement.definition),
            "runDetails": _run_json(statement.run),
        },
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _subject_of(statement: Statement) -> Resource:
    content = {} if statement.content_sha256 is None else {CONTENT: statement.content_sha256}
    return Resource(f"{statement.handle}.tar.gz", {"sha256": statement.sha256}, annotations=content)


def _definition_json(definition: BuildDefinition) -> Json:
    return {
        "buildType": BUILD_TYPE,
        "externalParameters": {name: dict(section) for name, section in definition.parameters.items()},
        "resolvedDependencies": [_resource_json(resource) for resource in definition.dependencies],
    }


def _run_json(run: RunDetails) -> Json:
    digest = {} if run.report_sha256 is None else {"sha256": run.report_sha256}
    return {
        "builder": {"id": run.builder, "version": dict(run.versions)},
        "metadata": {"startedOn": render_time(run.started), "finishedOn": render_time(run.finished)},
        "byproducts": [_resource_json(Resource(REPORT, digest, annotations=run.verdicts))],
    }


def _resource_json(resource: Resource) -> Json:
    optional = {"uri": resource.uri, "annotations": dict(resource.annotations)}
    return {"name": resource.name, "digest": dict(resource.digest)} | {k: v for k, v in optional.items() if v}


def render_time(time: datetime) -> str:
    """Returns a time as RFC 3339 has it, in UTC and whole seconds: 2026-11-29T01:02:03Z."""
    return time.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


# Reading --------------------------------------------------------------------------------------------------------------
def parse_statement(content: bytes) -> Statement:
    """Reads a statement.

    Raises:
        Unreadable: when it is not JSON, no statement of one tarball with SLSA's provenance, or malformed.
    """
    document = parse_facts(content)
    try:
        if not isinstance(document, dict):
            raise TypeError("it is no object")
        _expect(document, "_type", STATEMENT_TYPE)
        _expect(document, "predicateType", PREDICATE_TYPE)
        subject = _read_subject(document)
        predicate = _get(document, "predicate", dict)
        return Statement(
            subject.name.removesuffix(".tar.gz"),
            subject.digest["sha256"],
            _read_definition(_get(predicate, "buildDefinition", dict)),
            _read_run(_get(predicate, "runDetails", dict)),
            _texts(dict(subject.annotations), "annotations").get(CONTENT),
        )
    except KeyError as error:
        raise Unreadable(f"no statement of this program: it lacks {error.args[0]}") from None
    except (TypeError, ValueError) as error:
        raise Unreadable(f"no statement of this program: {error}") from None


def _expect(document: Json, key: str, expected: str) -> None:
    if (value := _get(document, key, str)) != expected:
        raise ValueError(f"{key} is '{show_name(value)}', expected {expected}")


def _read_subject(document: Json) -> Resource:
    subjects = _get(document, "subject", list)
    if len(subjects) != 1:
        raise ValueError(f"it is about {len(subjects)} files, expected one tarball")
    subject = _read_resource(_object(subjects[0], "subject"))
    if not subject.name.endswith(".tar.gz"):
        raise ValueError(f"it is about '{show_name(subject.name)}', expected <handle>.tar.gz")
    return subject


def _read_definition(definition: Json) -> BuildDefinition:
    _expect(definition, "buildType", BUILD_TYPE)
    sections = _bounded(_get(definition, "externalParameters", dict), "externalParameters")
    dependencies = _bounded(_get(definition, "resolvedDependencies", list), "resolvedDependencies")
    return BuildDefinition(
        {name: _scalars(_object(section, name), name) for name, section in sections.items()},
        tuple(_read_resource(_object(resource, "resolvedDependencies")) for resource in dependencies),
    )


def _read_run(run: Json) -> RunDetails:
    builder, times = _get(run, "builder", dict), _get(run, "metadata", dict)
    byproducts = [_read_resource(_object(item, "byproducts")) for item in _bounded(_get(run, "byproducts", list), "")]
    report = next((resource for resource in byproducts if resource.name == REPORT), Resource(REPORT, {}))
    return RunDetails(
        builder=_get(builder, "id", str),
        versions=_texts(_get(builder, "version", dict), "version"),
        started=_time(_get(times, "startedOn", str)),
        finished=_time(_get(times, "finishedOn", str)),
        verdicts=_texts(dict(report.annotations), "verdicts"),
        report_sha256=report.digest.get("sha256"),
    )


def _read_resource(resource: Json) -> Resource:
    uri = _get(resource, "uri", str) if "uri" in resource else None
    annotations = _scalars(_get(resource, "annotations", dict), "annotations") if "annotations" in resource else {}
    digest = _texts(_get(resource, "digest", dict), "digest") if "digest" in resource else {}
    return Resource(_get(resource, "name", str), digest, uri, annotations)


def _get(document: Json, key: str, kind: type[_Value]) -> _Value:
    """Returns a value; raises KeyError without it, and TypeError for one of another type."""
    value = document[key]
    if type(value) is not kind:
        raise TypeError(f"{key} is {show_name(json.dumps(value))}")
    return value


def _object(value: object, name: str) -> Json:
    return _get({name: value}, name, dict)


def _bounded(value: _Value, name: str) -> _Value:
    if isinstance(value, (list, dict)) and len(value) > _MOST:
        raise ValueError(f"{name} has {len(value):,} items, expected at most {_MOST}")
    return value


def _scalars(section: Json, name: str) -> dict[str, Scalar]:
    for key, value in _bounded(section, name).items():
        if isinstance(value, (list, dict)):
            raise TypeError(f"{show_name(f'{name}.{key}')} is no text or number")
    return section


def _texts(section: Json, name: str) -> dict[str, str]:
    return {key: _get(section, key, str) for key in _bounded(section, name)}


def _time(text: str) -> datetime:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text, re.ASCII):
        raise ValueError(f"'{show_name(text)}' is no time, expected such as 2026-11-29T01:02:03Z")
    return datetime.fromisoformat(text)
