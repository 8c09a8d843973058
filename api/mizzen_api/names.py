"""Names that operator, runtime, chart and documentation share."""

from typing import Final

GROUP: Final = "mizzen.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = "mizzen.dev/v1alpha1"
KIND: Final = "AgentDeployment"
PLURAL = "agentdeployments"

MAX_NAME_LENGTH = 52
"""A child's name adds at most 11 characters (`-` and a revision's hash of 10) and stays a DNS label of 63."""

LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "mizzen-operator"
LABEL_NAME = "app.kubernetes.io/name"
APP_NAME = "mizzen-agent"
LABEL_INSTANCE = "app.kubernetes.io/instance"
"""Name of the AgentDeployment that an object belongs to."""
LABEL_REVISION = f"{GROUP}/revision"

TRAFFIC_PORT = 8080
TRAFFIC_PORT_NAME = "http"
MANAGEMENT_PORT = 8081
MANAGEMENT_PORT_NAME = "management"
SERVICE_PORT = 80

LIVENESS_PATH = "/livez"
READINESS_PATH = "/readyz"
STARTUP_PATH = "/startupz"
METRICS_PATH = "/metrics"
STATE_PATH = "/state"

CONTAINER_NAME = "agent"
"""Name of the runtime's container in an agent's pod."""
