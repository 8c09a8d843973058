"""The errors that a user of devcluster may see."""


class DevClusterError(Exception):
    """An expected failure: what is wrong and what to do next.

    `str()` of it is the whole message for people; the command line prints it and exits with 1.
    """

    def __init__(self, problem: str, next_step: str = "") -> None:
        super().__init__(f"{problem}\n  next: {next_step}" if next_step else problem)
        self.problem = problem
        self.next_step = next_step


class CommandFailedError(DevClusterError):
    """A program that was called ended with another code than 0, was not found, or ran out of time."""

    def __init__(self, problem: str, next_step: str = "", *, output: str = "", returncode: int | None = None) -> None:
        super().__init__(problem, next_step)
        self.output = output
        self.returncode = returncode
