"""What can go wrong with a call to the API server, by what the caller can do about it."""


class ClusterError(Exception):
    """A call failed; the message is the API server's own."""


class NotFoundError(ClusterError):
    """404: the object, its namespace or its kind is not there."""


class ConflictError(ClusterError):
    """409: the object is another one than the caller thinks, or somebody else owns a field."""


class UnauthorizedError(ClusterError):
    """401: the API server does not accept our identity."""


class ForbiddenError(ClusterError):
    """403: a right is missing, or admission (a quota, a policy) says no."""


class NamespaceTerminatingError(ForbiddenError):
    """403: the namespace is being deleted, and everything in it; nothing can be made there."""


class RejectedError(ClusterError):
    """400, 413, 415, 422: the object itself is not acceptable; the same call will fail again."""


class UnavailableError(ClusterError):
    """No answer in time, or the server is overloaded or broken: try again later."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds that the server asked to wait, if it did."""
