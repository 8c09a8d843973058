"""The program that builds: buildah where it is installed, docker elsewhere. The same Containerfiles serve both."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from images.process import ImageError, run_step

BUILDAH_DEFAULTS = {
    # buildah run as root inside a container or a small virtual machine can neither mount nor start runc by itself.
    "STORAGE_DRIVER": "overlay",
    "BUILDAH_ISOLATION": "chroot",
}


@dataclass(frozen=True)
class Builder:
    """`buildah` or `docker`, with the environment that it needs."""

    program: str

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment, with defaults for buildah where nothing is set."""
        return {**(BUILDAH_DEFAULTS if self.program == "buildah" else {}), **os.environ}

    def sizes(self) -> dict[str, str]:
        """Give the images that are there: reference and size for people, such as `331 MB`.

        Raises:
            ImageError: The builder does not answer.
        """
        name = "{{.Name}}" if self.program == "buildah" else "{{.Repository}}"
        answer = self._run("images", "--format", name + ":{{.Tag}}={{.Size}}")
        return dict(line.split("=", 1) for line in answer.splitlines())

    def build(
        self,
        reference: str,
        containerfile: Path,
        context: Path,
        *,
        log: Path,
        expected: float,
        arguments: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        secrets: Mapping[str, Path] | None = None,
    ) -> None:
        """Build one image.

        Args:
            reference: Name and tag that it gets.
            containerfile: The file to build.
            context: Folder that the file's COPY reads from.
            log: File for the builder's output.
            expected: Seconds that it usually takes.
            arguments: Values for the file's ARGs.
            labels: Further labels.
            secrets: Files mounted during single steps and never stored, by id.

        Raises:
            ImageError: It failed; the message holds the end of the output.
        """
        argv = [self.program, "build", "--tag", reference, "--file", str(containerfile)]
        if self.program == "buildah":
            argv += ["--layers", "--format", "oci"]
        for option, values in (("--build-arg", arguments), ("--label", labels)):
            for key, value in (values or {}).items():
                argv += [option, f"{key}={value}"]
        for key, path in (secrets or {}).items():
            argv += ["--secret", f"id={key},src={path}"]
        argv.append(str(context))
        run_step(f"image {reference}", argv, log=log, env=self.environment, expected=expected)

    def remove(self, reference: str) -> None:
        """Remove an image by its name.

        Raises:
            ImageError: There is none, or it is in use.
        """
        self._run("rmi", reference)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.program, *arguments], capture_output=True, text=True, check=False, env=self.environment
        )
        if done.returncode != 0:
            raise ImageError(f"`{self.program} {' '.join(arguments)}` failed: {done.stderr.strip()}")
        return done.stdout


def find_builder(programs: Sequence[str] = ("buildah", "docker")) -> Builder:
    """Give the first builder that is installed.

    Raises:
        ImageError: None is.
    """
    for program in programs:
        if shutil.which(program):
            return Builder(program)
    raise ImageError("no program that builds images is installed; next: apt-get install buildah, or install docker")
