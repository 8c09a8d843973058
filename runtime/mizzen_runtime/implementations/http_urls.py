"""URLs, read in one strict way: what was checked is what is connected to, byte by byte.

Two readers that disagree about a URL are how filters are got round, so nothing odd is repaired or guessed. Whatever
could be read in two ways is refused, although some of it is valid: userinfo, backslashes, blanks, escapes in hosts,
trailing dots, addresses that are not written in full.
"""

import re
import string
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import quote

import idna

MAX_URL_LENGTH = 4096
"""Characters."""
_DEFAULT_PORTS = {"http": 80, "https": 443}
_URL = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<target>[^#]*)(?:#.*)?", re.IGNORECASE | re.ASCII)
_AUTHORITY = re.compile(r"(?:\[(?P<ipv6>[0-9a-fA-F:.]{2,45})\]|(?P<name>[^\[\]:@%]+))(?::(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_KEPT_IN_TARGET = string.ascii_letters + string.digits + "-._~:/?[]@!$&'()*+,;=%"


class UrlError(ValueError):
    """A text is no URL that is taken. The message says why, without the text."""


@dataclass(frozen=True)
class Url:
    """A URL that was understood."""

    scheme: str
    """`http` or `https`."""
    host: str
    """A name in lower-case ASCII, or an address; an IPv6 address has no brackets."""
    port: int
    """The port, also when it was not written."""
    target: str
    """Path and query, ASCII, with a slash at the beginning."""

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port."""
        return (self.scheme, self.host, self.port)

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The host if it is an address; None if it is a name."""
        if ":" in self.host:
            return IPv6Address(self.host)
        return IPv4Address(self.host) if _ENDS_IN_NUMBER.fullmatch(self.host) else None

    @property
    def authority(self) -> str:
        """What goes into a `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.has_default_port else f"{host}:{self.port}"

    @property
    def has_default_port(self) -> bool:
        """Whether the port is what the scheme says."""
        return self.port == _DEFAULT_PORTS[self.scheme]

    def __str__(self) -> str:
        """Give it as it is requested."""
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_url(text: str) -> Url:
    """Understand a URL; what follows a # is dropped.

    Raises:
        UrlError: It is none that is taken.
    """
    if not isinstance(text, str):
        raise UrlError("it is no text")
    if len(text) > MAX_URL_LENGTH:
        raise UrlError(f"it has more than {MAX_URL_LENGTH} characters")
    if "\\" in text or any(character.isspace() or not character.isprintable() for character in text):
        raise UrlError("it holds a backslash, a blank or a control character")
    parts = _URL.fullmatch(text)
    if parts is None:
        raise UrlError("it does not begin with http:// or https://")
    scheme = parts["scheme"].lower()
    host, port = _host_and_port(parts["authority"])
    target = quote(parts["target"], safe=_KEPT_IN_TARGET)
    return Url(scheme, host, port or _DEFAULT_PORTS[scheme], target if target.startswith("/") else f"/{target}")


def _host_and_port(authority: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise UrlError("it holds a user name or a password")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise UrlError("its host or port cannot be read")
    port = None if parts["port"] is None else int(parts["port"])
    if port is not None and not 1 <= port <= 65535:  # noqa: PLR2004 - what a port is
        raise UrlError("its port is not between 1 and 65535")
    return (_ipv6(parts["ipv6"]) if parts["ipv6"] else parse_host(parts["name"])), port


def _ipv6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except AddressValueError:
        raise UrlError("what stands in its brackets is no IPv6 address") from None


def parse_host(name: str) -> str:
    """Give a host's name in lower-case ASCII, or an IPv4 address that is written in full.

    Raises:
        UrlError: It is neither.
    """
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode()
        except (idna.IDNAError, UnicodeError):
            raise UrlError("its host is no name of the DNS") from None
    name = name.lower()
    if _ENDS_IN_NUMBER.fullmatch(name):
        try:
            return str(IPv4Address(name))
        except AddressValueError:
            raise UrlError("its host is an address that is not written as four decimal numbers") from None
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):  # noqa: PLR2004 - RFC 1035
        raise UrlError("its host is no name of the DNS")
    return name
