"""PostgreSQL, Redis, a model and an API as pods, with users who may use them all: what agents in a cluster use."""

import os
import subprocess
from collections import Counter
from urllib.parse import urlsplit

import redis

from tests.support.http import call
from tests.support.namespace import Namespace, Object
from tests.support.waiting import wait_for

ADMIN_PASSWORD = "of-the-administrator"
DATABASE = "postgres"
OWNER = "owner"
"""The role that owns what all users of the database make, so that one of them can go."""
PORTS = {"postgres": 5432, "redis": 6379, "web": 8080}
COMMANDS = {
    "postgres": ["sh", "/opt/services/postgres.sh"],
    "redis": ["redis-server", "--dir", "/data", "--save", "", "--requirepass", ADMIN_PASSWORD],
    "web": ["python3", "/opt/services/web.py"],
}


def password_of(user: str) -> str:
    """Give the password of a user, which is its key of the model and of the API too."""
    return f"password-of-{user}"


class ServicePods:
    """The pods, and what their administrator does with them."""

    def __init__(self, namespace: Namespace, image: str) -> None:
        """Start them, and wait until they serve."""
        self._namespace = namespace
        self._keys: list[str] = []
        for name in PORTS:
            namespace.apply(_pod(name, image))
            namespace.apply(_service(name))
        namespace.kubectl("wait", "--for=condition=Ready", *(f"pod/{name}" for name in PORTS), "--timeout=90s")
        wait_for(lambda: self.sql("SELECT 1") == "1", "PostgreSQL answers", interval=0.3)
        self.sql(f"CREATE ROLE {OWNER} NOLOGIN; GRANT CREATE ON SCHEMA public TO {OWNER}")

    def create_user(self, user: str) -> None:
        """Let a user into all of them."""
        self.sql(
            f"CREATE USER {user} PASSWORD '{password_of(user)}' IN ROLE {OWNER}; ALTER USER {user} SET role {OWNER}"
        )
        commands = ("getrange", "set", "scan", "unlink", "ping")
        with self._redis() as server:
            password, permitted = f"+{password_of(user)}", [f"+{name}" for name in commands]
            server.acl_setuser(user, enabled=True, passwords=[password], keys=["*"], commands=permitted)
        self._keys.append(password_of(user))
        self._set_keys()

    def drop_user(self, user: str) -> None:
        """Let a user in no more: Redis ends its connections, PostgreSQL leaves them in peace."""
        self.sql(f"DROP USER {user}")
        with self._redis() as server:
            server.acl_deluser(user)
        self._keys.remove(password_of(user))
        self._set_keys()

    def uses_only(self, service: str, user: str, *, before: str, quiet: float) -> bool:
        """Tell whether a service is used as one user, and no longer as the one before.

        Args:
            service: `database`, `cache`, `api` or `model`.
            user: Who uses it.
            before: Who did so before.
            quiet: Seconds without a request after which a key of the model or the API is used no longer.
        """
        if service in {"database", "cache"}:
            connections = self.database_users() if service == "database" else self.cache_users()
            return connections[user] > 0 and connections[before] == 0
        uses = call(f"{self._namespace.address('web')}/uses").json()[service]
        return password_of(user) in uses and uses[password_of(before)]["seconds_ago"] > quiet

    def database_users(self) -> Counter[str]:
        """Count the connections of services by user."""
        return Counter(self.sql("SELECT usename FROM pg_stat_activity WHERE application_name = 'mizzen'").split())

    def cache_users(self) -> Counter[str]:
        """Count the connections by user."""
        with self._redis() as server:
            return Counter(client["user"] for client in server.client_list())

    def sql(self, statement: str) -> str:
        """Run statements as the administrator, and give the first column's values, one a line."""
        where = ["--host", self._host("postgres"), "--username", "admin", "--dbname", DATABASE]
        done = subprocess.run(
            ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", *where, "-c", statement],
            env={**os.environ, "PGPASSWORD": ADMIN_PASSWORD},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _redis(self) -> redis.Redis:
        return redis.Redis(self._host("redis"), password=ADMIN_PASSWORD, decode_responses=True)

    def _set_keys(self) -> None:
        for door in ("model", "api"):
            answer = call(f"{self._namespace.address('web')}/keys/{door}", self._keys, method="PUT")
            assert answer.status == 200, answer

    def _host(self, name: str) -> str:
        return str(urlsplit(self._namespace.address(name)).hostname)


def _pod(name: str, image: str) -> Object:
    """A pod under the restricted standard, with nothing to write to but /data."""
    container = {
        "name": name,
        "image": image,
        "command": COMMANDS[name],
        "env": [{"name": "ADMIN_PASSWORD", "value": ADMIN_PASSWORD}],
        "ports": [{"containerPort": PORTS[name]}],
        # Without it a pod gets next to nothing of a busy machine.
        "resources": {"requests": {"cpu": "200m"}},
        "readinessProbe": {"tcpSocket": {"port": PORTS[name]}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "data", "emptyDir": {}}],
    }
    metadata = {"name": name, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _service(name: str) -> Object:
    spec = {"selector": {"app": name}, "ports": [{"port": PORTS[name]}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
