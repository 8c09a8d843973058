"""Packages that an image may lack: what pydantic-ai calls their extra, and how they come into it."""

import re
from importlib.metadata import metadata

_EXTRA_IN_ERROR = re.compile(r"pydantic-ai-slim\[([a-z0-9-]+)\]")


def extra_named_in(error: BaseException) -> str | None:
    """Give the extra that pydantic-ai says is not installed, or None when it speaks of something else."""
    found = _EXTRA_IN_ERROR.search(str(error))
    return found.group(1) if found else None


def remedy_for_missing(extra: str) -> str:
    """Say how a package comes into the image."""
    ours = metadata("mizzen").get_all("Provides-Extra") or []
    package = f"mizzen[{extra}]" if extra in ours else f"pydantic-ai-slim[{extra}]"
    return f"build an image on the runtime's with `pip install '{package}'` and name it in spec.pod.image"
