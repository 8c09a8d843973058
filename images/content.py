"""What each image is made of, and the hash of it that becomes the image's tag."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
IGNORED_FOLDER = "__pycache__"


@dataclass(frozen=True)
class Image:
    """One image, by what it is built from."""

    name: str
    containerfile: str
    inputs: tuple[str, ...]
    """Files and folders, relative to the repository, that the Containerfile copies."""
    seconds: float
    """How long it usually takes to build on two cores, with nothing cached."""
    context: str = "."
    """Folder, relative to the repository, that the Containerfile copies from."""
    built_on: str | None = None
    """Name of the image that it is built on; None for the base."""

    def reference(self, base: str, checkout: Path = REPOSITORY) -> str:
        """Give name and tag; the tag is a hash of the base's reference, the Containerfile and each input's content.

        Args:
            base: The base image's reference. It counts by its name: name one that does not move, or a digest.
            checkout: Where the inputs are.

        Raises:
            FileNotFoundError: An input is not there.
        """
        digest = hashlib.sha256(base.encode())
        for path in sorted({checkout / self.containerfile, *_files(checkout, self.inputs)}):
            content = path.read_bytes()
            digest.update(f"\0{path.relative_to(checkout)}\0{len(content)}\0".encode())
            digest.update(content)
        return f"localhost/mizzen-{self.name}:{digest.hexdigest()[:12]}"


PROJECT = ("pyproject.toml", "LICENSE", "requirements/build.txt", "api")

IMAGES = {
    image.name: image
    for image in (
        Image(
            "operator", "images/operator.Containerfile", (*PROJECT, "requirements/operator.txt", "operator"), seconds=40
        ),
        Image("runtime", "images/runtime.Containerfile", (*PROJECT, "requirements/runtime.txt", "runtime"), seconds=60),
        Image(
            "model-server",
            "images/model-server/Containerfile",
            ("requirements/model-server.txt", "images/model-server/server.py"),
            seconds=30,
        ),
        Image(
            "example-triage",
            "examples/triage/Containerfile",
            ("examples/triage/pyproject.toml", "examples/triage/acme_triage"),
            seconds=10,
            context="examples/triage",
            built_on="runtime",
        ),
        Image(
            "test-services",
            "tests/e2e/images/services/Containerfile",
            ("tests/e2e/images/services/postgres.sh", "tests/e2e/images/services/web.py"),
            seconds=40,
            context="tests/e2e/images/services",
        ),
        Image(
            "test-keeper",
            "tests/e2e/images/keeper/Containerfile",
            ("tests/e2e/images/keeper/keeper.py",),
            seconds=5,
            context="tests/e2e/images/keeper",
            built_on="runtime",
        ),
        Image(
            "test-wedge",
            "tests/e2e/images/wedge/Containerfile",
            ("tests/e2e/images/wedge/wedge.py",),
            seconds=5,
            context="tests/e2e/images/wedge",
            built_on="runtime",
        ),
    )
}
"""Every image, by its name."""
OWN = ("operator", "runtime", "model-server")
"""The project's own images; the others are what users build on them, and what tests run against."""


def reference_of(name: str, base: str) -> str:
    """Give an image's name and tag.

    Args:
        name: Of `IMAGES`.
        base: Reference of the base, on which it is built directly, or the image that it is built on.
    """
    image = IMAGES[name]
    return image.reference(base if image.built_on is None else reference_of(image.built_on, base))


def _files(checkout: Path, inputs: tuple[str, ...]) -> Iterator[Path]:
    """Give each file of the inputs."""
    for name in inputs:
        path = checkout / name
        if path.is_dir():
            yield from (file for file in path.rglob("*") if file.is_file() and IGNORED_FOLDER not in file.parts)
        else:
            yield path
