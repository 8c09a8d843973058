"""Builds the images that are not there yet: `python -m images.build [--base IMAGE] [operator runtime model-server …]`.

Prints each image's reference on standard output. The tag is a hash of what goes in, so an image that is there is right
and is left alone. Needs buildah or docker, and nothing of Python's beyond the standard library.
"""

import argparse
import fcntl
import json
import os
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from images.base import base_reference, cache_folder, make_base
from images.builder import Builder, find_builder
from images.content import IMAGES, OWN, REPOSITORY, reference_of
from images.pip_settings import write_secrets
from images.process import ImageError, say


def build(names: Sequence[str] = OWN, *, base: str | None = None) -> dict[str, str]:
    """Build what is not there yet, and give each name's reference, such as `localhost/mizzen-runtime:0123456789ab`.

    Args:
        names: Of `IMAGES`; the project's own without them.
        base: Image to build on; one made here without it.

    Raises:
        ImageError: A name is unknown, a program is missing, or a build failed.
    """
    if unknown := [name for name in names if name not in IMAGES]:
        raise ImageError(f"no image is called {', '.join(unknown)}; there are {', '.join(IMAGES)}")
    bottom = base or base_reference()
    references = {name: reference_of(name, bottom) for name in names}
    builder = find_builder()
    if not references.keys() - _present(builder, references):
        return references
    with _one_at_a_time():
        needed = {name: reference_of(name, bottom) for name in _with_foundations(names)}
        present = _present(builder, needed)  # another process may have built them while this one waited
        missing = [name for name in needed if name not in present]
        if missing and base is None and bottom not in builder.sizes():
            make_base(builder)
        for name in missing:
            _build_one(builder, name, bottom)
    return references


def _with_foundations(names: Iterable[str]) -> Iterator[str]:
    """Give the names, each after the name of the image that it is built on."""
    for name in names:
        if foundation := IMAGES[name].built_on:
            yield from _with_foundations([foundation])
        yield name


def _present(builder: Builder, references: dict[str, str]) -> set[str]:
    """Give the names whose image is there."""
    there = builder.sizes()
    return {name for name, reference in references.items() if reference in there}


def _build_one(builder: Builder, name: str, bottom: str) -> None:
    image = IMAGES[name]
    reference = reference_of(name, bottom)
    base = bottom if image.built_on is None else reference_of(image.built_on, bottom)
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    with tempfile.TemporaryDirectory(prefix="mizzen-secrets-") as folder:
        builder.build(
            reference,
            REPOSITORY / image.containerfile,
            REPOSITORY / image.context,
            log=cache_folder() / "logs" / f"{name}.log",
            expected=image.seconds,
            arguments={"BASE": base},
            labels={"org.opencontainers.image.version": version},
            secrets=write_secrets(Path(folder), os.environ),
        )
    if reference_of(name, bottom) != reference:
        builder.remove(reference)
        raise ImageError(f"image {name}: its sources changed while it was built; next: run the same again")


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Hold the machine's only right to build, so that two processes do not build the same twice."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("images: another process is building, waiting for it …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m images.build", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = f"of {', '.join(IMAGES)} (default: {', '.join(OWN)})"
    parser.add_argument("names", nargs="*", metavar="name", help=known)
    parser.add_argument("--base", help="image to build on, with python3 of 3.11 or later (default: one made here)")
    parser.add_argument("--json", action="store_true", help="print the references as a JSON object")
    options = parser.parse_args(arguments)
    begun = time.monotonic()
    try:
        references = build(options.names or OWN, base=options.base)
        sizes = find_builder().sizes()
    except ImageError as error:
        say(f"error: {error}")
        return 1
    if options.json:
        print(json.dumps(references))
        return 0
    for name, reference in references.items():
        print(f"{name:<16}{reference:<50}{sizes[reference]}")
    say(f"images: {time.monotonic() - begun:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
