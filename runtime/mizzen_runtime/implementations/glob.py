r"""The patterns of `CacheService.invalidate`, the same for every cache.

| In a pattern | Stands for |
|---|---|
| `*` | any characters, also none |
| `?` | one character |
| `[abc]`, `[a-z]` | one of these characters |
| `[^abc]`, `[^a-z]` | one other character |
| `\` and a character | that character |
| any other character | itself |

A pattern is about the whole key, and about characters, not bytes. Redis has its own `MATCH`, which is about bytes and
reads half a pattern its own way: it only narrows what is looked at.
"""

import re
from dataclasses import dataclass

from mizzen_runtime.services import ServiceError

MAX_PATTERN_LENGTH = 1024
"""Characters."""


class InvalidPatternError(ServiceError, ValueError):
    """A pattern has no meaning."""


@dataclass(frozen=True)
class Glob:
    """A pattern that was understood."""

    head: str
    """The characters with which every match begins."""
    regex: re.Pattern[str]
    """Matches whole keys, in a time that is at most their length times the pattern's."""

    def matches(self, key: str) -> bool:
        """Tell whether the pattern is about a key."""
        return self.regex.fullmatch(key) is not None


def parse_glob(pattern: str) -> Glob:
    """Understand a pattern.

    Raises:
        InvalidPatternError: It has no meaning.
    """
    if not isinstance(pattern, str):
        raise InvalidPatternError(f"a pattern is a str, not of type {type(pattern).__name__}")
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise InvalidPatternError(f"the pattern has {len(pattern)} characters; give at most {MAX_PATTERN_LENGTH}")
    parser = _Parser(pattern)
    parser.parse()
    return Glob("".join(parser.head), re.compile(_regex_of(parser.chunks), re.DOTALL))


def _regex_of(chunks: list[str]) -> str:
    """Join what stands between the stars.

    Each star takes as few characters as it can and never reconsiders: the first place where the next chunk matches is
    as good as any later one, and trying them all would take a time that grows with each star.
    """
    first, *others = chunks
    if not others:
        return first
    *middle, last = others
    return first + "".join(f"(?>.*?{chunk})" for chunk in middle if chunk) + f".*{last}"


class _Parser:
    """Reads a pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._place = 0
        self.head: list[str] = []
        self._in_head = True
        self.chunks = [""]
        """Regular expressions of what stands between the stars."""

    def parse(self) -> None:
        """Read all of it."""
        while self._place < len(self._pattern):
            character = self._next()
            if character == "*":
                self._in_head = False
                self.chunks.append("")
            elif character == "?":
                self._add(".")
            elif character == "[":
                self._add(self._class())
            else:
                self._add_literal(self._escaped() if character == "\\" else character)

    def _next(self) -> str:
        self._place += 1
        return self._pattern[self._place - 1]

    def _peek(self) -> str:
        return self._pattern[self._place : self._place + 1]

    def _add(self, regex: str) -> None:
        self._in_head = False
        self.chunks[-1] += regex

    def _add_literal(self, character: str) -> None:
        if self._in_head:
            self.head.append(character)
        self.chunks[-1] += re.escape(character)

    def _escaped(self) -> str:
        if not self._peek():
            raise InvalidPatternError(
                r"the pattern ends in a backslash with nothing to escape; for a backslash, write \\"
            )
        return self._next()

    def _class(self) -> str:
        begun = self._place
        negation = self._next() if self._peek() == "^" else ""
        members = ""
        while self._peek() != "]":
            low = self._class_character(begun)
            members += re.escape(low)
            if self._peek() == "-" and self._pattern[self._place + 1 : self._place + 2] not in {"]", ""}:
                self._next()
                high = self._class_character(begun)
                if high < low:
                    raise InvalidPatternError(
                        f"the range at character {self._place} of the pattern ends before it begins"
                    )
                members += f"-{re.escape(high)}"
        self._next()
        if not members:
            raise InvalidPatternError(f"the brackets at character {begun} of the pattern are empty; for [, write \\[")
        return f"[{negation}{members}]"

    def _class_character(self, begun: int) -> str:
        if not self._peek():
            raise InvalidPatternError(f"the [ at character {begun} of the pattern is never closed; for [, write \\[")
        character = self._next()
        return self._escaped() if character == "\\" else character
