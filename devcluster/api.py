"""The few requests to the API server that starting a cluster needs; starting kubectl for each would take longer."""

import base64
import http.client
import json
import ssl
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from devcluster.errors import DevClusterError


class ApiClient:
    """One connection to an API server as the user of a kubeconfig that holds its certificates inline."""

    def __init__(self, kubeconfig: Path, timeout: float = 5) -> None:
        document = json.loads(kubeconfig.read_text())
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        address = urlsplit(cluster["server"])
        context = ssl.create_default_context(cadata=_decode(cluster, "certificate-authority-data"))
        with tempfile.NamedTemporaryFile("w") as file:  # created 0600; the ssl module reads keys from files only
            file.write(_decode(user, "client-certificate-data") + _decode(user, "client-key-data"))
            file.flush()
            context.load_cert_chain(file.name)
        self._connection = http.client.HTTPSConnection(
            address.hostname or "", address.port, context=context, timeout=timeout
        )

    def request(
        self, method: str, path: str, body: object = None, *, accept: str = "application/json"
    ) -> tuple[int, Any]:
        """Send a request and give the status with the answer, parsed where it is JSON.

        Raises:
            OSError: no answer came.
        """
        try:
            content = None if body is None else json.dumps(body)
            headers = {"Content-Type": "application/json", "Accept": accept}
            self._connection.request(method, path, content, headers)
            response = self._connection.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()  # it opens again with the next request
            raise OSError(f"{method} {path}: {error}") from error
        is_json = (response.getheader("Content-Type") or "").startswith("application/json")
        return response.status, json.loads(text) if is_json else text

    def ready(self) -> bool:
        """Whether the API server answers and has finished its own start."""
        try:
            return self.request("GET", "/readyz")[0] == http.HTTPStatus.OK
        except OSError:
            return False

    def get(self, path: str, *, accept: str = "application/json") -> Any:
        """Give an object, or None if there is none."""
        status, answer = self.request("GET", path, accept=accept)
        if status == http.HTTPStatus.NOT_FOUND:
            return None
        return self._checked(status, answer, path)

    def create(self, collection: str, manifest: dict[str, Any]) -> None:
        """Create an object; one that exists is left as it is."""
        status, answer = self.request("POST", collection, manifest)
        if status != http.HTTPStatus.CONFLICT:
            self._checked(status, answer, collection)

    @staticmethod
    def _checked(status: int, answer: Any, path: str) -> Any:
        if status >= http.HTTPStatus.BAD_REQUEST:
            said = answer.get("message") if isinstance(answer, dict) else answer
            raise DevClusterError(f"the API server refused {path} ({status}): {said}")
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _decode(entry: dict[str, str], key: str) -> str:
    return base64.b64decode(entry[key]).decode()
