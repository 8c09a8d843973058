"""The base image made on this machine when no other is named: a small Debian with Python, 130 MB."""

import hashlib
import os
import platform
import shutil
import tempfile
from pathlib import Path

from images.builder import Builder
from images.process import ImageError, run_step

SUITE = "bookworm"
CONTAINERFILE = Path(__file__).with_name("base.Containerfile")
UNWANTED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")
RECIPE = (
    "--variant=minbase",
    # usr-is-merged and its hook: otherwise usrmerge comes along, and with it 50 MB of Perl. libgomp1 is what numeric
    # libraries need, llama.cpp among them.
    "--include=python3,python3-venv,ca-certificates,libgomp1,usr-is-merged",
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    *(f"--dpkgopt=path-exclude={path}" for path in UNWANTED),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    '--customize-hook=rm -rf "$1"/var/log/* "$1"/var/cache/debconf/*-old',
    SUITE,
)
"""mmdebstrap's arguments. It leaves neither package lists nor downloaded packages behind."""
SECONDS = 45.0


def cache_folder() -> Path:
    """Give the folder for what can be made again: `$MIZZEN_CACHE/images`, else `mizzen/images` in the XDG cache."""
    if own := os.environ.get("MIZZEN_CACHE"):
        return Path(own).expanduser().absolute() / "images"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "mizzen" / "images"


def base_reference() -> str:
    """Give the base's name and tag; the tag is the hash of how it is made, and of the machine's architecture."""
    recipe = "\n".join((*RECIPE, platform.machine(), CONTAINERFILE.read_text()))
    return f"localhost/mizzen-base:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def make_base(builder: Builder) -> str:
    """Make the base image, from the tar in the cache if it is there, and give its reference.

    Raises:
        ImageError: mmdebstrap is not installed or failed, or the image could not be built.
    """
    reference = base_reference()
    tag = reference.rpartition(":")[2]
    tar = cache_folder() / f"base-{tag}.tar"
    if not tar.exists():
        _bootstrap(tar)
    with tempfile.TemporaryDirectory(dir=tar.parent, prefix="context-") as context:
        os.link(tar, Path(context) / "base.tar")
        builder.build(
            reference, CONTAINERFILE, Path(context), log=cache_folder() / "logs" / "base-image.log", expected=8
        )
    return reference


def _bootstrap(tar: Path) -> None:
    """Make the base's tar; a half-made one never has its name."""
    if shutil.which("mmdebstrap") is None:
        raise ImageError(
            "no base image: `mmdebstrap` is not installed, and none was named\n"
            "  next: apt-get install mmdebstrap, or name one: python -m images.build --base python:3.13-slim"
        )
    tar.parent.mkdir(parents=True, exist_ok=True)
    unfinished = tar.with_suffix(".unfinished")
    run_step(
        f"base system {SUITE}",
        ["mmdebstrap", "--format=tar", *RECIPE, str(unfinished)],
        log=cache_folder() / "logs" / "base-system.log",
        env=os.environ,
        expected=SECONDS,
    )
    unfinished.rename(tar)
