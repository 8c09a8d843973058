"""What is told when a resource cannot be built."""

from mizzen_api.problems import Problem, join_problems


class InvalidSpecError(ValueError):
    """The resource asks for something that cannot be built; `problems` says all of it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(join_problems(problems))
        self.problems = problems
