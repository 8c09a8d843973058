"""Fills a service's settings from the resource, a ConfigMap and a Secret: one key, one field.

A key `pool__size` fills the field `size` inside the field `pool`. What ends a file is not part of its value if it is a
newline. A field is set in one place only, a secret only in a Secret.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from mizzen_api.contract import RuntimeService, SettingsSource
from mizzen_api.problems import Problem, message_of, shown
from mizzen_runtime.missing_objects import KEY_IS_MISSING, OBJECT_IS_MISSING, how_to_create
from mizzen_runtime.redaction import Redactor
from mizzen_runtime.settings_fields import (
    AgentName,
    FieldPath,
    decoded,
    defaults_of_agent,
    is_field,
    is_secret,
    parts_of,
    unknown_at,
)

Settings = TypeVar("Settings", bound=BaseModel)
_SEPARATOR = "__"


@dataclass(frozen=True)
class ReadSettings(Generic[Settings]):
    """What came of reading."""

    settings: Settings | None
    """None where there are problems, and only there."""
    problems: tuple[Problem, ...]
    """Everything that is wrong."""


@dataclass(frozen=True)
class _Value:
    """One field's value and where it stands."""

    path: FieldPath
    """Where the model has the field."""
    content: Any
    """What it holds; a list or an object where the text is JSON for one."""
    place: str
    """Such as `Secret 'triage-db', key 'password'`."""
    source: SettingsSource | None
    """None for the resource itself."""

    @property
    def is_secret(self) -> bool:
        return self.source is not None and self.source.kind == "Secret"


def read_settings(
    service: RuntimeService, model: type[Settings], field: str, agent: AgentName
) -> ReadSettings[Settings]:
    """Read the settings of a service.

    Args:
        service: The service.
        model: What its implementation wants to know.
        field: Where the resource has the service, such as `spec.services[0]`.
        agent: Whose service it is.
    """
    return _Reading(service, model, field, agent).read()


def values_of(source: SettingsSource) -> Iterator[str]:
    """Give what the files of a mounted object hold, as far as they can be read."""
    for path in _files_of(Path(source.path)):
        with contextlib.suppress(OSError):
            yield without_newline(path.read_bytes()).decode(errors="replace")


def without_newline(content: bytes) -> bytes:
    """Give a file's content without the newline that ends many a file, which is no part of the value."""
    return content.removesuffix(b"\n").removesuffix(b"\r")


class _Reading(Generic[Settings]):
    """One service's settings being read."""

    def __init__(self, service: RuntimeService, model: type[Settings], field: str, agent: AgentName) -> None:
        self._service = service
        self._model = model
        self._field = field
        self._agent = agent
        self._values: list[_Value] = []
        self._problems: list[Problem] = []
        self._unknown: set[FieldPath] = set()
        self._lacks_source = False

    def read(self) -> ReadSettings[Settings]:
        for path, content in _leaves(self._service.settings or {}):
            place = f"{self._field}.settings.{'.'.join(path)}"
            self._take(path, content, place, None)
        for source in self._service.sources:
            self._take_files(source)
        self._problems.extend(self._unknown_fields())
        self._problems.extend(self._exposed_secrets())
        settings = self._validate()
        if settings is None and not self._problems:
            self._say(self._field, f"{self._all} are refused, and their model does not say why", "correct them")
        return ReadSettings(None if self._problems else settings, tuple(self._problems))

    def _take_files(self, source: SettingsSource) -> None:
        files = {path.name: path for path in _files_of(Path(source.path))}
        wanted = list(source.keys or files)
        if not files and source.keys is None:
            self._lacks_source = True
            self._say(f"{source.kind} {source.name!r}", OBJECT_IS_MISSING, self._remedy_for_absent(source, "<field>"))
        for file in wanted:
            key = source.key_of(file)
            place = f"{source.kind} {source.name!r}, key {key!r}"
            text = self._text_of(files.get(file), place, self._remedy_for_absent(source, key))
            if text is None:
                self._lacks_source = True
            else:
                self._take(tuple(file.split(_SEPARATOR)), text, place, source)

    def _text_of(self, file: Path | None, place: str, remedy: str) -> str | None:
        """Give what a file holds; None if it is missing or cannot be read, which is noted."""
        if file is None:
            self._say(place, KEY_IS_MISSING, remedy)
            return None
        try:
            return without_newline(file.read_bytes()).decode()
        except OSError as error:
            self._say(place, f"cannot be read: {error.strerror}", "see the pod's events")
        except UnicodeDecodeError:
            self._say(place, "holds bytes that are no text in UTF-8", "write the value as text")
        return None

    def _take(self, path: FieldPath, content: object, place: str, source: SettingsSource | None) -> None:
        """Take a value, unless the field, a part of it or what it is a part of has one already."""
        for before in self._values:
            shorter = min(len(path), len(before.path))
            if path[:shorter] == before.path[:shorter]:
                message = f"{self._named(path[:shorter])} is also set at {before.place}"
                self._say(place, message, "leave it in one of the two")
                return
        if isinstance(content, str):
            content = decoded(self._model, path, content)
        self._values.append(_Value(path, content, place, source))

    def _unknown_fields(self) -> Iterator[Problem]:
        for value in self._values:
            above = (value.path[:length] for length in range(1, len(value.path)))
            for path in (*above, *(path for path, _ in parts_of(value.path, value.content))):
                known = unknown_at(self._model, path)
                if known is not None:
                    self._unknown.add(path)
                    close = get_close_matches(str(path[-1]), known, n=1)
                    remedy = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
                    yield _problem(value.place, f"{self._named(path)} does not exist", remedy)

    def _exposed_secrets(self) -> Iterator[Problem]:
        for value in self._values:
            path = None if value.is_secret else self._secret_in(value)
            if path is not None:
                yield _problem(
                    value.place,
                    f"{self._named(path)} is a secret, and everybody who may read this place can read it",
                    f"put it into a Secret under the key {_spelled(value.path)!r} and name that in secretRef",
                )

    def _secret_in(self, value: _Value) -> FieldPath | None:
        parts = parts_of(value.path, value.content)
        return next((path for path, part in parts if part is not None and is_secret(self._model, path)), None)

    def _validate(self) -> Settings | None:
        content: dict[str | int, Any] = {}
        for value in self._values:
            inner = content
            for part in value.path[:-1]:
                inner = inner.setdefault(part, {})
            inner[value.path[-1]] = value.content
        try:
            return self._model.model_validate(defaults_of_agent(self._model, self._agent) | content)
        except ValidationError as error:
            for line in error.errors(include_url=False, include_context=False):
                path = self._path_of(line["loc"], content, is_missing=line["type"] == "missing")
                self._problems.extend(self._told(line["type"], line["msg"], path, line["input"]))
        except Exception as error:  # noqa: BLE001 - a validator of own code raises what it likes
            text = f"{self._all}: their model raised {type(error).__qualname__}"
            self._say(self._field, text, "correct them, or let its validators raise ValueError with what is wrong")
        return None

    def _path_of(self, location: tuple[str | int, ...], content: Any, *, is_missing: bool) -> FieldPath:
        """Give the path for pydantic's location, which also names the members of unions that were tried."""
        path: FieldPath = ()
        for place, part in enumerate(location, start=1):
            is_there = part in (content if isinstance(content, Mapping) else range(_length(content)))
            if is_there or is_field(self._model, (*path, part)) or (is_missing and place == len(location)):
                path = (*path, part)
                content = content[part] if is_there else None
        return path

    def _told(self, kind: str, message: str, path: FieldPath, given: object) -> Iterator[Problem]:
        if path in self._unknown:
            return
        value = self._value_with(path)
        words = self._words(kind, message)
        if kind == "missing" and value is not None:
            yield _problem(value.place, f"{self._named(path)} is missing", "add it to the value")
        elif kind == "missing":
            if not self._lacks_source:  # else that is the cause, and has been told
                yield _problem(self._field, f"{self._named(path)} is missing", self._remedy_for_missing(path))
        elif value is None:
            yield _problem(self._field, f"{self._all}: {words}", "correct them")
        else:
            hidden = value.is_secret or is_secret(self._model, path) or kind in {"value_error", "extra_forbidden"}
            told = "" if hidden else shown(given)
            yield _problem(value.place, f"{self._named(path)}: {words}{told}", "correct the value")

    def _words(self, kind: str, message: str) -> str:
        """Give what pydantic or a validator says, unless that holds a secret."""
        kept = (value for value in self._values if value.is_secret or self._secret_in(value) is not None)
        secrets = [str(part) for value in kept for _, part in parts_of(value.path, value.content)]
        if Redactor(secrets).finds_any(message):
            return f"the value is not accepted ({kind}); why is not repeated, since a secret is part of the message"
        return message_of(kind, message)

    def _value_with(self, path: FieldPath) -> _Value | None:
        return next((value for value in self._values if path[: len(value.path)] == value.path), None)

    def _remedy_for_missing(self, path: FieldPath) -> str:
        key = _spelled(path)
        kind = "Secret" if is_secret(self._model, path) else "ConfigMap"
        source = next((source for source in self._service.sources if source.kind == kind), None)
        if source is None:
            return f"name a {kind} with the key {key!r} in {'secretRef' if kind == 'Secret' else 'configMapRef'}"
        listed = "" if source.keys is None else f", and list it in {self._field}.secretRef.keys"
        return f"add the key {key!r} to {kind} {source.name!r}{listed}"

    def _remedy_for_absent(self, source: SettingsSource, key: str) -> str:
        return how_to_create(source.kind, source.name, key, self._agent.namespace)

    @property
    def _all(self) -> str:
        return f"the settings of service {self._service.name!r}"

    def _named(self, path: FieldPath) -> str:
        """Name a setting; what a Secret's value has as keys, other than fields, is as secret as the value."""
        value = self._value_with(path)
        parts = list(path)
        if value is not None and value.is_secret:
            for place in range(len(value.path), len(path)):
                if not isinstance(path[place], int) and not is_field(self._model, path[: place + 1]):
                    parts[place] = "…"
        return f"the setting {_spelled(parts)!r} of service {self._service.name!r}"

    def _say(self, place: str, message: str, remedy: str) -> None:
        self._problems.append(_problem(place, message, remedy))


def _leaves(content: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _spelled(path: Iterable[str | int]) -> str:
    """Give a path as a key spells it; a place in a list, which no key can spell, is in brackets."""
    return "".join(f"[{part}]" if isinstance(part, int) else f"{_SEPARATOR}{part}" for part in path).removeprefix(
        _SEPARATOR
    )


def _length(content: object) -> int:
    return len(content) if isinstance(content, list) else 0


def _files_of(folder: Path) -> list[Path]:
    """List the files of a mounted object; kubelet's own entries begin with two dots."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("..") and path.is_file())


def _problem(place: str, message: str, remedy: str) -> Problem:
    return Problem(field=place, message=message, remedy=remedy)
