"""A certificate authority of a test's own."""

import subprocess
from pathlib import Path


class Authority:
    """Signs certificates of servers."""

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        self._folder = folder
        self.bundle = folder / "ca.pem"
        """Its own certificate: what a client trusts."""
        self._key = folder / "ca.key"
        _openssl(
            *("req", "-x509", *_NEW_KEY, "-keyout", str(self._key), "-out", str(self.bundle)),
            *("-days", "2", "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )

    def issue(self, *names: str, days: int = 2) -> tuple[Path, Path]:
        """Give the files of a certificate and its key; a name is such as `DNS:localhost` or `IP:127.0.0.1`.

        Args:
            names: Whom it is for.
            days: How long it is valid; a negative number for one that has expired.
        """
        certificate, key, request, extensions = (
            self._folder / f"server.{kind}" for kind in ("pem", "key", "csr", "ext")
        )
        _openssl("req", *_NEW_KEY, "-keyout", str(key), "-out", str(request), "-subj", "/CN=server")
        extensions.write_text(f"subjectAltName={','.join(names)}\nextendedKeyUsage=serverAuth\n")
        _openssl(
            *(
                "x509",
                "-req",
                "-in",
                str(request),
                "-CA",
                str(self.bundle),
                "-CAkey",
                str(self._key),
                "-CAcreateserial",
            ),
            *("-days", str(days), "-extfile", str(extensions), "-out", str(certificate)),
        )
        return certificate, key


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
