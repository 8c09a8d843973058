"""The Kubernetes objects that the files hold, as far as an agent needs them."""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ValidationError

from mizzen_api.agentdeployment import AgentDeployment, Metadata
from mizzen_api.base import ApiModel
from mizzen_api.names import GROUP, KIND
from mizzen_api.problems import Problem, message_of, problems_of
from mizzen_api.spec_problems import spec_problems
from mizzen_runtime.cli.documents import Document
from mizzen_runtime.cli.findings import Finding, Place, finding

ObjectKind = Literal["ConfigMap", "Secret"]
DEFAULT_NAMESPACE = "default"
"""Of an object that names none, as for `kubectl apply`."""
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_DATA_KINDS: Mapping[str, ObjectKind] = {"ConfigMap": "ConfigMap", "Secret": "Secret"}
_LISTS = {"ConfigMap": ("data", "binaryData"), "Secret": ("data", "stringData")}
"""Where the keys of each kind are; what comes later takes the place of what comes before."""
_ENCODED = frozenset({("ConfigMap", "binaryData"), ("Secret", "data")})


class _ConfigMapShape(ApiModel):
    """What a ConfigMap may hold; its values are looked at one by one."""

    api_version: Literal["v1"]
    kind: Literal["ConfigMap"]
    metadata: Metadata
    data: dict[str, Any] | None = None
    binary_data: dict[str, Any] | None = None
    immutable: bool | None = None


class _SecretShape(ApiModel):
    """What a Secret may hold."""

    api_version: Literal["v1"]
    kind: Literal["Secret"]
    metadata: Metadata
    data: dict[str, Any] | None = None
    string_data: dict[str, Any] | None = None
    immutable: bool | None = None
    type: str | None = None


@dataclass(frozen=True)
class DataObject:
    """A ConfigMap or a Secret."""

    kind: ObjectKind
    namespace: str
    name: str
    values: Mapping[str, bytes] = field(repr=False)
    """Contents by key."""
    document: Document = field(repr=False, compare=False)

    def place_of(self, key: str | None) -> Place:
        """Find the line of a key; where the object begins without one, or if it is not there."""
        for part in reversed(_LISTS[self.kind]):
            if key is not None and key in (self.document.content.get(part) or {}):
                return self.document.place_of(f"{part}[{key!r}]")
        return self.document.place


@dataclass(frozen=True)
class AgentFile:
    """An AgentDeployment and where it stands."""

    agent: AgentDeployment
    document: Document = field(repr=False, compare=False)

    @property
    def full_name(self) -> str:
        """Namespace and name."""
        return f"{self.agent.metadata.namespace}/{self.agent.metadata.name}"


ObjectId = tuple[str, str, str]
"""Kind, namespace, name."""


@dataclass(frozen=True)
class Objects:
    """What the files hold."""

    agents: tuple[AgentFile, ...]
    data: Mapping[ObjectId, DataObject]

    def find(self, kind: str, namespace: str, name: str) -> DataObject | None:
        """Give a ConfigMap or Secret; None if no file has it."""
        return self.data.get((kind, namespace, name))

    def elsewhere(self, kind: str, name: str) -> DataObject | None:
        """Give one of this name from whatever namespace."""
        return next((each for each in self.data.values() if (each.kind, each.name) == (kind, name)), None)


def read_objects(documents: Iterable[Document]) -> tuple[Objects, list[Finding]]:
    """Read the objects of documents, and tell all that is wrong with them."""
    findings: list[Finding] = []
    agents: list[AgentFile] = []
    data: dict[ObjectId, DataObject] = {}
    places: dict[ObjectId, Place] = {}
    for document in documents:
        kind = _kind(document)
        if kind is None:
            findings.append(_not_needed(document))
            continue
        identity = _identity(document, kind)
        if identity is not None:
            first = places.setdefault(identity, document.place)
            if first != document.place:
                findings.append(_second_of_its_name(document, identity, first))
                continue
        if kind == KIND:
            agents += _agent(document, findings)
        elif (found := _data_object(document, kind, findings)) is not None:
            data[found.kind, found.namespace, found.name] = found
    return Objects(tuple(agents), data), findings


def _kind(document: Document) -> Literal["AgentDeployment", "ConfigMap", "Secret"] | None:
    """Give the kind, if it is one of those that are used."""
    kind = document.value_at("kind")
    if isinstance(kind, str) and kind in _DATA_KINDS:
        return _DATA_KINDS[kind]
    ours = str(document.value_at("apiVersion")).startswith(f"{GROUP}/")
    return KIND if kind == KIND or ours else None  # whatever is wrong with the other one of the two is told


def _identity(document: Document, kind: str) -> ObjectId | None:
    name = document.value_at("metadata.name")
    if not isinstance(name, str):
        return None
    return kind, str(document.value_at("metadata.namespace") or DEFAULT_NAMESPACE), name


def _second_of_its_name(document: Document, identity: ObjectId, first: Place) -> Finding:
    kind, namespace, name = identity
    message = f"{kind} {name!r} of namespace {namespace!r} is also at {first}"
    return finding("error", document.place_of("metadata.name"), "metadata.name", message, "leave one of the two")


def _not_needed(document: Document) -> Finding:
    kind = document.value_at("kind")
    if not isinstance(kind, str) or not isinstance(document.content, dict):
        remedy = f"write an {KIND}, a ConfigMap or a Secret"
        return finding("error", document.place, "kind", "this is no object of Kubernetes: it has no kind", remedy)
    name = document.value_at("metadata.name")
    message = f"{kind} {name!r} is not looked at"
    remedy = f"only objects of {KIND}, ConfigMap and Secret are needed to run an agent"
    return finding("note", document.place_of("kind"), "kind", message, remedy)


def _agent(document: Document, findings: list[Finding]) -> Iterator[AgentFile]:
    try:
        # By the names that the API server knows: it drops `base_url`, which pydantic would take for `baseUrl`.
        agent = AgentDeployment.model_validate(document.content, by_alias=True, by_name=False)
    except ValidationError as error:
        problems = problems_of(error)
        findings += [Finding("error", document.place_of(problem.field), problem) for problem in problems]
        return
    problems = spec_problems(agent)
    findings += [Finding("error", document.place_of(problem.field), problem) for problem in problems]
    if not problems:
        yield AgentFile(agent, document)


def _data_object(document: Document, kind: ObjectKind, findings: list[Finding]) -> DataObject | None:
    shape = _ConfigMapShape if kind == "ConfigMap" else _SecretShape
    try:
        read = shape.model_validate(document.content, by_alias=True, by_name=False)
    except ValidationError as error:
        problems = [_without_values(problem) for problem in problems_of(error)]
        findings += [Finding("error", document.place_of(problem.field), problem) for problem in problems]
        return None
    values: dict[str, bytes] = {}
    before = len(findings)
    for part in _LISTS[kind]:
        for key, value in (document.content.get(part) or {}).items():
            try:
                values[key] = _content(key, value, encoded=(kind, part) in _ENCODED)
            except _WrongError as wrong:
                place = document.place_of(f"{part}[{key!r}]")
                findings.append(finding("error", place, f"{part}.{key}", wrong.message, wrong.remedy))
    if len(findings) > before:
        return None
    return DataObject(kind, read.metadata.namespace, read.metadata.name, values, document)


def _without_values(problem: Problem) -> Problem:
    """Take out what may be secret: what stands in the place of an object with keys."""
    if problem.field not in {"data", "stringData", "binaryData"} or problem.message == message_of(
        "extra_forbidden", ""
    ):
        return problem
    remedy = "write `key: value` for each key, below it"
    return Problem(field=problem.field, message="is no object with keys", remedy=remedy)


class _WrongError(Exception):
    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def _content(key: str, value: object, *, encoded: bool) -> bytes:
    """Give what a key holds; the messages do not repeat it, since it may be secret."""
    if not _KEY.fullmatch(key):
        raise _WrongError("is no key", "use letters, digits, '-', '_' and '.'")
    if not isinstance(value, str):
        kind = "nothing" if value is None else "a list or an object" if isinstance(value, list | dict) else "no text"
        raise _WrongError(f"the value is {kind}", "write it as text, in quotes")
    if not encoded:
        return value.encode()
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        raise _WrongError("the value is no base64", "encode it, or write it as it is into stringData") from None
