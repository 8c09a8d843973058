"""Objects of a cluster, read over a kept connection: a kubectl for each look is most of what a waiting test costs."""

import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from devcluster.api import ApiClient

Object = dict[str, Any]
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_kept = threading.local()


def objects_of(kubeconfig: Path) -> "Objects":
    """Give this thread's view of a cluster."""
    key = (kubeconfig, kubeconfig.stat().st_mtime_ns)
    if getattr(_kept, "key", None) != key:
        if hasattr(_kept, "objects"):
            _kept.objects.close()
        _kept.key, _kept.objects = key, Objects(ApiClient(kubeconfig, timeout=30))
    objects: Objects = _kept.objects
    return objects


class Objects:
    """Reads objects by the names of their kinds that kubectl knows: `agd`, `deployment`, `pods`."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._collections: dict[str, tuple[str, str, bool]] = {}

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """Give an object, or None if there is none."""
        found: Object | None = self._get(f"{self._path(kind, namespace)}/{name}")
        return found

    def list(self, kind: str, namespace: str, selector: str) -> list[Object]:
        """Give the objects of a kind, each with its kind."""
        path = self._path(kind, namespace)
        answer = self._get(f"{path}?{urlencode({'labelSelector': selector})}")
        own = {"apiVersion": answer["apiVersion"], "kind": answer["kind"].removesuffix("List")}
        return [{**own, **item} for item in answer["items"]]

    def _path(self, kind: str, namespace: str) -> str:
        if kind not in self._collections:
            self._discover()
        assert kind in self._collections, f"the API server knows no {kind}"
        version, plural, namespaced = self._collections[kind]
        return f"{version}/namespaces/{namespace}/{plural}" if namespaced else f"{version}/{plural}"

    def _discover(self) -> None:
        """Learn the names of every kind; of two with the same name, the API server's first counts."""
        self._collections.clear()
        for root in ("/api", "/apis"):
            for group in self._get(root, accept=_DISCOVERY)["items"]:
                version = group["versions"][0]
                path = "/".join(filter(None, (root, group["metadata"].get("name"), version["version"])))
                for resource in version.get("resources", ()):
                    where = (path, resource["resource"], resource["scope"] == "Namespaced")
                    for name in (where[1], resource["singularResource"], *resource.get("shortNames", ())):
                        self._collections.setdefault(name, where)

    def _get(self, path: str, *, accept: str = "application/json") -> Any:
        try:
            return self._client.get(path, accept=accept)
        except OSError:  # the API server has closed the connection, which nobody used for a while
            return self._client.get(path, accept=accept)
