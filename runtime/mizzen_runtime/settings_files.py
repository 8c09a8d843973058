"""Fills a service's settings from the resource, a ConfigMap and a Secret: one key, one field.

A key `pool__size` fills the field `size` inside the field `pool`. What ends a file is not part of its value if it is a
newline. A field is set in one place only, a secret only in a Secret.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from mizzen_api.contract import RuntimeService, SettingsSource
from mizzen_api.problems import Problem, message_of, shown
from mizzen_runtime.missing_objects import KEY_IS_MISSING, OBJECT_IS_MISSING, how_to_create
from mizzen_runtime.settings_fields import AgentName, FieldPath, decoded, defaults_of_agent, is_secret, unknown_at

Settings = TypeVar("Settings", bound=BaseModel)
_SEPARATOR = "__"


@dataclass(frozen=True)
class ReadSettings(Generic[Settings]):
    """What came of reading."""

    settings: Settings | None
    """None where there are problems."""
    problems: tuple[Problem, ...]
    """Everything that is wrong."""


@dataclass(frozen=True)
class _Value:
    """One field's value and where it stands."""

    content: Any
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
        self._values: dict[FieldPath, _Value] = {}
        self._problems: list[Problem] = []
        self._lacks_source = False

    def read(self) -> ReadSettings[Settings]:
        for path, content in _leaves(self._service.settings or {}):
            place = f"{self._field}.settings.{'.'.join(path)}"
            self._take(path, _Value(content, place, None))
        for source in self._service.sources:
            self._take_files(source)
        self._problems.extend(self._unknown_fields())
        self._problems.extend(self._exposed_secrets())
        settings = self._validate()
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
                self._take(tuple(file.split(_SEPARATOR)), _Value(text, place, source))

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

    def _take(self, path: FieldPath, value: _Value) -> None:
        """Take a value, unless the field, a part of it or what it is a part of has one already."""
        for other, before in self._values.items():
            shorter = min(len(path), len(other))
            if path[:shorter] == other[:shorter]:
                name = _SEPARATOR.join(path[:shorter])
                message = f"the setting {name!r} of service {self._service.name!r} is also set at {before.place}"
                self._say(value.place, message, "leave it in one of the two")
                return
        self._values[path] = value

    def _unknown_fields(self) -> Iterator[Problem]:
        for path, value in self._values.items():
            known = unknown_at(self._model, path)
            if known is not None:
                close = get_close_matches(path[-1], known, n=1)
                remedy = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known))}"
                yield _problem(value.place, f"{self._named(path)} does not exist", remedy)

    def _exposed_secrets(self) -> Iterator[Problem]:
        for path, value in self._values.items():
            if not value.is_secret and is_secret(self._model, path):
                yield _problem(
                    value.place,
                    f"{self._named(path)} is a secret, and everybody who may read this place can read it",
                    f"put it into a Secret under the key {_SEPARATOR.join(path)!r} and name that in secretRef",
                )

    def _validate(self) -> Settings | None:
        content: dict[str, Any] = {}
        for path, value in self._values.items():
            inner = content
            for part in path[:-1]:
                inner = inner.setdefault(part, {})
            text = value.content
            inner[path[-1]] = decoded(self._model, path, text) if isinstance(text, str) else text
        try:
            return self._model.model_validate(defaults_of_agent(self._model, self._agent) | content)
        except ValidationError as error:
            for line in error.errors(include_url=False, include_context=False):
                self._problems.extend(self._told(line["type"], line["msg"], line["loc"], line["input"]))
        except Exception as error:  # noqa: BLE001 - a validator of own code raises what it likes
            text = f"the settings of service {self._service.name!r}: their model raised {type(error).__qualname__}"
            self._say(self._field, text, "correct them, or let its validators raise ValueError with what is wrong")
        return None

    def _told(self, kind: str, message: str, location: tuple[int | str, ...], given: object) -> Iterator[Problem]:
        path = tuple(str(part) for part in location)
        value = next((value for known, value in self._values.items() if path[: len(known)] == known), None)
        if kind == "extra_forbidden":
            return  # told as an unknown field
        if kind == "missing":
            if not self._lacks_source:  # else that is the cause, and has been told
                yield _problem(self._field, f"{self._named(path)} is missing", self._remedy_for_missing(path))
        elif value is None:
            text = f"the settings of service {self._service.name!r}: {message_of(kind, message)}"
            yield _problem(self._field, text, "correct them")
        else:
            told = "" if value.is_secret or is_secret(self._model, path) or kind == "value_error" else shown(given)
            text = f"{self._named(path)}: {message_of(kind, message)}{told}"
            yield _problem(value.place, text, "correct the value")

    def _remedy_for_missing(self, path: FieldPath) -> str:
        key = _SEPARATOR.join(path)
        kind = "Secret" if is_secret(self._model, path) else "ConfigMap"
        source = next((source for source in self._service.sources if source.kind == kind), None)
        if source is None:
            return f"name a {kind} with the key {key!r} in {'secretRef' if kind == 'Secret' else 'configMapRef'}"
        listed = "" if source.keys is None else f", and list it in {self._field}.secretRef.keys"
        return f"add the key {key!r} to {kind} {source.name!r}{listed}"

    def _remedy_for_absent(self, source: SettingsSource, key: str) -> str:
        return how_to_create(source.kind, source.name, key, self._agent.namespace)

    def _named(self, path: FieldPath) -> str:
        return f"the setting {_SEPARATOR.join(path)!r} of service {self._service.name!r}"

    def _say(self, place: str, message: str, remedy: str) -> None:
        self._problems.append(_problem(place, message, remedy))


def _leaves(content: Mapping[str, Any], path: FieldPath = ()) -> Iterator[tuple[FieldPath, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _files_of(folder: Path) -> list[Path]:
    """List the files of a mounted object; kubelet's own entries begin with two dots."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("..") and path.is_file())


def _problem(place: str, message: str, remedy: str) -> Problem:
    return Problem(field=place, message=message, remedy=remedy)
