"""Loads what a resource names in own code as `package.module:name`, and tells in words what goes wrong."""

import importlib
import logging
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from types import ModuleType

from pydantic_ai.exceptions import UserError

from mizzen_api.problems import Problem, shortened
from mizzen_runtime import log as logs
from mizzen_runtime.config import ConfigRefused
from mizzen_runtime.extras import extra_named_in, remedy_for_missing
from mizzen_runtime.own_code.places import own_part, place_of_error
from mizzen_runtime.own_code.start_watch import StartWatch
from mizzen_runtime.redaction import Redactor

log = logging.getLogger("mizzen.start")

_MAX_LINE = 10_000
NOT_INSTALLED = "name the image that holds it in spec.pod.image, or correct the name"
"""Remedy where a module is not there; in a pod it cannot be installed."""
IMPORTED_IN_VAIN = "install it in the image"
"""Remedy where own code imports a module that is not there."""
SEE_TRACEBACK = "the pod's log has the whole traceback; mend the code and build its image anew"
"""Remedy where own code fails."""


class OwnCodeLoader:
    """Loads own code while the process starts."""

    def __init__(self, watch: StartWatch, redact: Redactor, restore_log: Callable[[str], None] = logs.restore) -> None:
        """Load nothing yet.

        Args:
            watch: Ends the start if own code holds it up.
            redact: Takes secrets out of what own code says when it fails.
            restore_log: Sets the process's log up again after own code ran, which may have done so in its own way.
        """
        self.watch = watch
        self.redact = redact
        self.restore_log = restore_log

    def named(self, path: str, field: str, expected: str) -> "OwnCode":
        """Give what an import path names, to be loaded.

        Args:
            path: `package.module:name`.
            field: Where the resource names it.
            expected: What it should name, as a remedy.
        """
        return OwnCode(path, field, expected, self)


class OwnCode:
    """One import path, as a field of the resource names it."""

    def __init__(self, path: str, field: str, expected: str, loader: OwnCodeLoader) -> None:
        """Load nothing yet: see `OwnCodeLoader`."""
        self.path = path
        self._module_name, _, self._name = path.partition(":")
        self._package = self._module_name.partition(".")[0]
        self._field = field
        self._expected = expected
        self._watch = loader.watch
        self._redact = loader.redact
        self._restore_log = loader.restore_log

    def load(self) -> object:
        """Import the module and give what is called so in it.

        Raises:
            ConfigRefused: It cannot be imported, or there is nothing of that name.
        """
        self._watch.begin(f"importing {self._module_name}", self._field, self._package)
        try:
            return self._find(self._import())
        finally:
            self._restore_log(self._package)

    def refused(self, message: str, remedy: str | None = None) -> ConfigRefused:
        """Give the refusal of what was found, with what is expected as its remedy unless there is a better one."""
        return ConfigRefused([Problem(field=self._field, message=message, remedy=remedy or self._expected)])

    def failed(self, error: BaseException) -> ConfigRefused:
        """Log the whole traceback, and give the refusal with its last line."""
        self._restore_log(self._package)  # own code may have silenced it before it failed
        lines = traceback.format_exception(type(error), error, own_part(error.__traceback__))
        told = [shortened(line, _MAX_LINE) for line in self._redact("".join(lines)).splitlines()]
        log.error("%s failed", self._watch.doing, extra={"traceback": told})
        last = self._redact(" ".join("".join(traceback.format_exception_only(error)).split()))
        place = place_of_error(error, self._package)
        # The place first: a long text is cut.
        return self.refused(f"{self._watch.doing} failed{f' at {place}' if place else ''}: {last}", _remedy_for(error))

    def _import(self) -> ModuleType:
        try:
            return importlib.import_module(self._module_name)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{self._module_name}.".startswith(f"{error.name}."):
                raise self.refused(
                    f"there is no module {error.name!r} in this image",
                    NOT_INSTALLED,
                ) from error
            raise self.failed(error) from error
        except BaseException as error:
            raise self.failed(error) from error

    def _find(self, module: ModuleType) -> object:
        found: object = module
        owner = self._module_name
        for part in self._name.split("."):
            try:
                found = getattr(found, part)
            except AttributeError as error:
                close = get_close_matches(part, dir(found), n=1)
                raise self.refused(
                    f"{owner} has no {part!r}", f"did you mean {close[0]!r}?" if close else None
                ) from error
            except BaseException as error:
                raise self.failed(error) from error
            owner += f"{':' if owner == self._module_name else '.'}{part}"
        return found


def _remedy_for(error: BaseException) -> str:
    if isinstance(error, ImportError) and (extra := extra_named_in(error)):
        return remedy_for_missing(extra)
    if isinstance(error, ModuleNotFoundError):
        return IMPORTED_IN_VAIN
    if isinstance(error, UserError):
        return "a key belongs in spec.pod.env, from a Secret; or name the models in spec.models and none in the code"
    return SEE_TRACEBACK
