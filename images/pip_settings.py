"""This machine's own pip settings, for pip inside a build: a private index, a proxy, certificates.

They are mounted as build secrets, so they show up neither in a layer nor in an image's history.
"""

import configparser
import ssl
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

CARRIED = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries")
"""What matters elsewhere too. Paths, such as `find-links`, name nothing inside a build."""
CA_IN_BUILD = "/run/secrets/ca"
"""Where the Containerfiles mount the secret `ca`."""


def write_secrets(folder: Path, environment: Mapping[str, str]) -> dict[str, Path]:
    """Write the build's secrets into a folder and give their paths by id: `pip`, and `ca` where there is a bundle.

    Args:
        folder: A private, temporary folder.
        environment: The environment that pip would run in.
    """
    settings = dict(_settings(environment))
    secrets = {"pip": folder / "pip.conf"}
    if bundle := _certificates(environment):
        secrets["ca"] = bundle
        settings["cert"] = CA_IN_BUILD
    lines = ["[global]", *(f"{key} = {value}" for key, value in settings.items())]
    secrets["pip"].write_text("\n".join(lines) + "\n")
    secrets["pip"].chmod(0o600)
    return secrets


def _settings(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Give each carried setting, in pip's order: the files of machine, user and environment, then the variables."""
    files = [
        Path("/etc/pip.conf"),
        Path.home() / ".pip" / "pip.conf",
        Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "pip" / "pip.conf",
        Path(sys.prefix) / "pip.conf",
        *([Path(environment["PIP_CONFIG_FILE"])] if environment.get("PIP_CONFIG_FILE") else []),
    ]
    parser = configparser.RawConfigParser()
    parser.read(files)
    for section in ("global", "install"):
        if parser.has_section(section):
            yield from (
                (key, " ".join(value.split())) for key, value in parser.items(section) if key in CARRIED and value
            )
    for key in CARRIED:
        if value := environment.get("PIP_" + key.upper().replace("-", "_")):
            yield key, value


def _certificates(environment: Mapping[str, str]) -> Path | None:
    """Give the file of certificates that this machine trusts, or None."""
    candidates = (
        *(environment.get(name) for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")),
        ssl.get_default_verify_paths().cafile,
        "/etc/ssl/certs/ca-certificates.crt",
    )
    return next((Path(path) for path in candidates if path and Path(path).is_file()), None)
