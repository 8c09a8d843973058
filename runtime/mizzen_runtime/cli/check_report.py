"""What the process that checks an agent tells the one that asked for it."""

from mizzen_api.base import ApiModel
from mizzen_api.problems import Problem


class CheckReport(ApiModel):
    """The outcome of a check."""

    problems: tuple[Problem, ...] = ()
    """Why the agent does not start; empty if it does."""
    code: tuple[str, ...] = ()
    """Files and folders of the own code that was imported."""
