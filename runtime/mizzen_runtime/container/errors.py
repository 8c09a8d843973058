"""What a container says when it cannot give a service. No text of another library is in any of it."""

from collections.abc import Iterable

from mizzen_api.problems import Problem


class ContainerError(Exception):
    """The container cannot do what it was asked for."""


class InvalidContainerError(ContainerError):
    """What is registered does not fit together."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep all that is wrong."""
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


class ServiceLookupError(ContainerError, LookupError):
    """There is no single service that fits what was asked for."""

    def __init__(self, message: str, remedy: str) -> None:
        """Say what is wrong and what to do."""
        self.message = message
        self.remedy = remedy
        super().__init__(f"{message}; {remedy}")


class UnknownServiceError(ServiceLookupError):
    """No service implements the interface, or none with this name."""


class AmbiguousServiceError(ServiceLookupError):
    """Several services implement the interface, and no name was given."""


class ScopeError(ContainerError):
    """A service was asked for outside the scope that it lives in."""


class ContainerClosedError(ContainerError):
    """The container is closed, or closes."""


class ServiceStartError(ContainerError):
    """A service could not be made ready; the cause is what it raised."""

    def __init__(self, path: tuple[str, ...], reason: str) -> None:
        """Say which service failed and who needed it.

        Args:
            path: From what was asked for to the service that failed.
            reason: Why; never the text of an error that is not ours.
        """
        self.path = path
        self.reason = reason
        super().__init__(f"{' -> '.join(path)}: {reason}")

    def needed_by(self, asking: str) -> "ServiceStartError":
        """Give the error as who needed the service sees it."""
        error = ServiceStartError((asking, *self.path), self.reason)
        error.__cause__ = self.__cause__
        return error


class StartFailedError(ContainerError):
    """Services could not be made ready when the container started; what had been ready is closed again."""

    def __init__(self, failures: Iterable[ServiceStartError]) -> None:
        """Keep what failed, in the order in which the services were registered."""
        self.failures = tuple(failures)
        super().__init__("; ".join(str(failure) for failure in self.failures))
