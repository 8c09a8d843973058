"""The gateway to the API server. Nothing outside this package imports a Kubernetes client."""
