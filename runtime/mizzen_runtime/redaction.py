"""Takes secrets out of texts that own code may have put them into: what it says when it fails, or refuses a value."""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote

REDACTED = "<redacted>"
SHORTEST = 4
"""A shorter value is left where it is: it would be found in every other word, and anybody can guess it."""
_STUB = 12
"""Characters of a secret's beginning or end that give it away where the rest was cut, as pydantic does with values."""
_USERINFO = re.compile(r"(?<=://)[^\s/?#]+@")
_SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?", re.IGNORECASE)
"""What an address begins with, which alone gives nothing away."""
_PASSWORD = re.compile(r"(?:://[^\s:@/]*:|\b(?:password|pwd)=)([^\s@;&]+)", re.IGNORECASE)
"""The password in an address, or in a list of `name=value`: code that takes it apart may tell it alone."""


class Redactor:
    """Replaces known secrets, pieces of them, and user and password in addresses."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Remember the secrets, in the forms in which they may be written."""
        forms = {form for secret in secrets for form in _forms_of(secret) if len(form) >= SHORTEST}
        self._secrets = sorted(forms, key=len, reverse=True)  # one may be a part of another

    def __call__(self, text: str) -> str:
        """Give the text without them."""
        return _USERINFO.sub(f"{REDACTED}@", self._without_secrets(text))

    def finds_any(self, text: str) -> bool:
        """Tell whether the text holds one of them, or a piece of one."""
        return self._without_secrets(text) != text

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        for secret in self._secrets:
            if len(secret) > _STUB:
                text = _without_pieces(text, secret)
        return text


def _forms_of(secret: str) -> Iterator[str]:
    """Give a secret as it is, its lines, passwords in it, and all of that as Python and as an address write it."""
    passwords = _PASSWORD.findall(secret)
    for plain in {secret, *(line.strip() for line in secret.splitlines()), *passwords, *map(unquote, passwords)}:
        yield plain
        yield repr(plain)[1:-1]
        yield quote(plain, safe="")


def _without_pieces(text: str, secret: str) -> str:
    """Take out what is left of a secret that was cut at its end or at its beginning."""
    scheme = _SCHEME.match(secret)
    begins = secret[: max(_STUB, (scheme.end() if scheme is not None else 0) + SHORTEST)]
    parts = []
    while (found := text.find(begins)) >= 0:
        end = found + _common(text[found:], secret)
        parts.append(text[:found] + REDACTED)
        text = text[end:]
    text = "".join([*parts, text])
    parts = []
    while (found := text.rfind(secret[-_STUB:])) >= 0:
        end = found + _STUB
        begin = end - _common(text[:end][::-1], secret[::-1])
        parts.append(REDACTED + text[end:])
        text = text[:begin]
    return "".join([text, *reversed(parts)])


def _common(one: str, other: str) -> int:
    """Give the length of the beginning that two texts share."""
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
