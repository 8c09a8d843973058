"""Reads YAML and JSON so that every value still knows its line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mizzen_runtime.cli.findings import Finding, Place, finding

_STEP = re.compile(r"\[(\d+)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")
_INTEGER, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_EXPONENT = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+")
_MAX_DEPTH = 100
"""Of nested values. Kubernetes refuses what is deeper; an alias inside what it stands for has no end at all."""


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: what looks like a date or a time is text, and `1e3` is a number."""

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        """Give the tag of a node."""
        if kind is ScalarNode and implicit[0] and _EXPONENT.fullmatch(value):
            return _FLOAT
        tag = str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]
        is_time = tag in {_INTEGER, _FLOAT} and ":" in value
        return str(self.DEFAULT_SCALAR_TAG) if kind is ScalarNode and implicit[0] and is_time else tag


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class Document:
    """One YAML document of a file."""

    file: str
    root: Node

    @cached_property
    def content(self) -> Any:
        """What it says, as JSON would have it: names of fields are texts."""
        return _value_of(self.root)

    @property
    def place(self) -> Place:
        """Where it begins."""
        return Place(self.file, _line_of(self.root))

    def place_of(self, path: str) -> Place:
        """Find the line of a field, or of the nearest one around it that is there.

        Args:
            path: Such as `spec.models[0].apiKey`, as problems name fields.
        """
        return Place(self.file, _locate(self.root, path, _line_of(self.root)))

    def value_at(self, path: str) -> Any:
        """Give the value of a field whose path has only names and numbers; None if there is none."""
        value = self.content
        for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
            if index:
                value = value[int(index)] if isinstance(value, list) and int(index) < len(value) else None
            else:
                value = value.get(name) if isinstance(value, dict) else None
        return value


def read_documents(file: str, text: str) -> tuple[list[Document], list[Finding]]:
    """Read the documents of a file, apart from empty ones.

    Args:
        file: Its name, for messages.
        text: What it holds.

    Returns:
        The documents before the first that is no YAML, and what is wrong.
    """
    loader = _Loader(text)
    documents: list[Document] = []
    findings: list[Finding] = []
    try:
        while loader.check_node():
            root = loader.get_node()
            if root is None or root.tag == "tag:yaml.org,2002:null":
                continue
            document = Document(file, root)
            wrong = [*_repeated_names(file, root, ""), *_unreadable(document)]
            findings += wrong
            if not wrong:
                documents += _items_of(document)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        findings.append(_no_yaml(Place(file, mark.line + 1 if mark else 0), error.problem or error.context or ""))
    except yaml.YAMLError as error:  # such as a character that no YAML may hold
        findings.append(_no_yaml(Place(file, 0), " ".join(str(error).split())))
    finally:
        loader.dispose()
    return documents, findings


def _items_of(document: Document) -> list[Document]:
    """Give the objects of a List, which `kubectl get -o yaml` writes; of anything else, itself."""
    if document.value_at("kind") != "List" or not isinstance(document.value_at("items"), list):
        return [document]
    (items,) = (value for key, value in document.root.value if key.value == "items")
    return [Document(document.file, item) for item in items.value]


def _no_yaml(place: Place, reason: str) -> Finding:
    return finding("error", place, "YAML", reason, "correct what stands there, or in the line before")


def _unreadable(document: Document) -> Iterator[Finding]:
    try:
        _ = document.content
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        yield _no_yaml(Place(document.file, line), error.problem or "")
    except ValueError as error:  # such as a number that is none
        yield _no_yaml(document.place, str(error))
    except (AttributeError, KeyError):  # of PyYAML, for `!!timestamp x` and `!!bool x`
        yield _no_yaml(document.place, "a value is not of the type that its tag names")


def _repeated_names(file: str, node: Node, path: str, depth: int = 0) -> Iterator[Finding]:
    """Find fields that are written twice: of two values, every parser would silently drop one."""
    if depth > _MAX_DEPTH:
        return  # told when it is read
    if isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            yield from _repeated_names(file, item, f"{path}[{index}]", depth + 1)
    elif isinstance(node, MappingNode):
        first: dict[str, Node] = {}
        for key, value in node.value:
            name = str(key.value)
            inner = f"{path}.{name}" if path else name
            if first.setdefault(name, key) is not key:
                message = f"is written twice, first in line {_line_of(first[name])}"
                yield finding("error", Place(file, _line_of(key)), inner, message, "leave one of the two")
            yield from _repeated_names(file, value, inner, depth + 1)


def _value_of(node: Node, depth: int = 0) -> Any:
    if depth > _MAX_DEPTH:
        raise yaml.MarkedYAMLError(problem=f"is nested deeper than {_MAX_DEPTH} levels", problem_mark=node.start_mark)
    if isinstance(node, SequenceNode):
        return [_value_of(item, depth + 1) for item in node.value]
    if isinstance(node, MappingNode):
        return {_name_of(key): _value_of(value, depth + 1) for key, value in _pairs_of(node)}
    return SafeConstructor().construct_object(node)


def _name_of(key: Node) -> str:
    if not isinstance(key, ScalarNode):
        raise yaml.MarkedYAMLError(problem="the name of a field must be a text", problem_mark=key.start_mark)
    return str(key.value)


def _pairs_of(node: MappingNode) -> list[tuple[Node, Node]]:
    """Give the fields of a mapping, those first that `<<` takes from another one: the mapping's own override them."""
    if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
        SafeConstructor().flatten_mapping(node)
    return list(node.value)


def _line_of(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _locate(node: Node, path: str, line: int) -> int:
    """Walk along a path as far as it goes; a name may have dots in it, so the longest that fits is taken."""
    path = path.removeprefix(".")
    if isinstance(node, MappingNode):
        quoted = _STEP.match(path)
        names = {str(key.value): (key, value) for key, value in node.value}
        for name in sorted(names, key=len, reverse=True):
            written = quoted and (quoted[2] or quoted[3]) == name
            if written or (path.startswith(name) and path[len(name) : len(name) + 1] in {"", ".", "["}):
                key, value = names[name]
                rest = path[quoted.end() :] if written and quoted else path[len(name) :]
                return _locate(value, rest, _line_of(key))
    elif isinstance(node, SequenceNode) and (step := _STEP.match(path)) and step[1]:
        index = int(step[1])
        if index < len(node.value):
            return _locate(node.value[index], path[step.end() :], _line_of(node.value[index]))
    return line
