"""URLs of unknown origin: what is understood, what is refused, and which addresses are public."""

# ruff: noqa: RUF001, S104 - look-alikes and addresses are what this is about

import ipaddress
import socket
import string
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mizzen_runtime.implementations.http_addresses import fault_of_address, parse_address
from mizzen_runtime.implementations.http_guard import (
    SourceGuard,
    SourceRefusedError,
    SystemResolver,
    check_host_pattern,
)
from mizzen_runtime.implementations.http_urls import Url, UrlError, parse_url


@pytest.mark.parametrize(
    ("text", "understood"),
    [
        ("http://example.com", "http://example.com/"),
        ("HTTP://EXAMPLE.com:80/", "http://example.com/"),
        ("https://example.com:443/a?b#c", "https://example.com/a?b"),
        ("https://example.com:8443", "https://example.com:8443/"),
        ("http://example.com?q=1", "http://example.com/?q=1"),
        ("http://example.com/Käse?q=ä", "http://example.com/K%C3%A4se?q=%C3%A4"),
        ("http://example.com/%41%", "http://example.com/%41%"),
        ("http://example.com/a@b:c", "http://example.com/a@b:c"),
        ("http://müller.example/", "http://xn--mller-kva.example/"),
        ("http://xn--mller-kva.example/", "http://xn--mller-kva.example/"),
        ("http://8.8.8.8/", "http://8.8.8.8/"),
        ("http://[2001:4860:4860:0:0::8888]:81/", "http://[2001:4860:4860::8888]:81/"),
        ("http://a_b-c.example/", "http://a_b-c.example/"),
        ("http://redis/", "http://redis/"),
    ],
)
def test_a_url_is_understood(text: str, understood: str) -> None:
    assert str(parse_url(text)) == understood
    assert parse_url(understood) == parse_url(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ftp://example.com/", "it does not begin with http:// or https://"),
        ("httpſ://example.com/", "it does not begin with http:// or https://"),
        ("http:/example.com/", "it does not begin with http:// or https://"),
        ("http://a@example.com/", "it holds a user name or a password"),
        ("http://example.com\\a", "it holds a backslash, a blank or a control character"),
        ("http://exam\u200bple.com/", "it holds a backslash, a blank or a control character"),
        ("http://example.com/a b", "it holds a backslash, a blank or a control character"),
        ("http://example.com/\x7f", "it holds a backslash, a blank or a control character"),
        ("http://example.com./", "its host is no name of the DNS"),
        ("http://example..com/", "its host is no name of the DNS"),
        ("http://-a.example/", "its host is no name of the DNS"),
        ("http://127.0.0.1./", "its host is no name of the DNS"),
        ("http://a／b.example/", "its host is no name of the DNS"),
        ("http://a＠b.example/", "its host is no name of the DNS"),
        ("http://a：80.example/", "its host is no name of the DNS"),
        ("http://0x7f.0.0.0x1/", "its host is an address that is not written as four decimal numbers"),
        ("http://010.8.8.8/", "its host is an address that is not written as four decimal numbers"),
        ("http://8.8.8/", "its host is an address that is not written as four decimal numbers"),
        ("http://٨.8.8.8/", "its host is no name of the DNS"),
        ("http://[::1%25lo]/", "its host or port cannot be read"),
        ("http://[::1/", "its host or port cannot be read"),
        ("http://::1/", "its host or port cannot be read"),
        ("http://[1]/", "its host or port cannot be read"),
        ("http://[1.2.3.4]/", "what stands in its brackets is no IPv6 address"),
        ("http://example.com:/", "its host or port cannot be read"),
        ("http://example.com:٨٠/", "its host or port cannot be read"),
        ("http://example.com:65536/", "its port is not between 1 and 65535"),
        ("http://example.com/" + "a" * 4096, "it has more than 4096 characters"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(text: str, told: str) -> None:
    with pytest.raises(UrlError) as refused:
        parse_url(text)

    assert str(refused.value) == told


@given(
    st.one_of(
        st.text(),
        st.text(st.sampled_from(string.ascii_lowercase + string.digits + ".:/@\\[]%#?-_ \t\nxX०１。①ſ／＠")),
    )
)
@example("127.0.0.1")
@example("a.b:80@c")
@example("1.1.1.1 &@2.2.2.2# @3.3.3.3/")
def test_what_is_understood_is_plain_and_means_the_same_to_everybody(rest: str) -> None:
    try:
        url = parse_url(f"http://{rest}")
    except UrlError:
        return
    text = str(url)
    assert text.isascii()
    assert text.isprintable()
    assert " " not in text
    parts = urlsplit(text)
    assert (parts.hostname, parts.port or 80, parts.username) == (url.host, url.port, None)
    assert parse_url(text) == url


@given(st.ip_addresses(v=4), st.sampled_from(["decimal", "hex", "octal", "short", "mixed", "padded"]))
def test_an_address_in_another_spelling_is_never_a_name(address: ipaddress.IPv4Address, spelling: str) -> None:
    number = int(address)
    octets = address.packed
    text = {
        "decimal": str(number),
        "hex": hex(number),
        "octal": f"0{number:o}",
        "short": f"{octets[0]}.{number & 0xFFFFFF}",
        "mixed": ".".join([hex(octets[0]), f"0{octets[1]:o}", str(octets[2]), hex(octets[3])]),
        "padded": ".".join(f"0{octet:o}" for octet in octets),
    }[spelling]
    assert socket.inet_aton(text) == address.packed  # what the system makes of it
    with pytest.raises(UrlError):
        parse_url(f"http://{text}/")


REFUSED = {
    "0.0.0.0": "unspecified",
    "10.255.255.255": "private",
    "100.127.255.255": "shared by a carrier's customers",
    "127.255.255.254": "loopback",
    "168.63.129.16": "a cloud's metadata",
    "169.254.169.254": "link-local",
    "172.31.255.255": "private",
    "192.0.0.192": "reserved",
    "192.0.2.1": "for documentation",
    "192.168.0.1": "private",
    "198.19.255.255": "reserved",
    "224.0.0.1": "multicast",
    "255.255.255.255": "reserved",
    "::": "not public",
    "::1": "loopback",
    "::7f00:1": "not public",
    "::ffff:8.8.8.8": "not public",
    "::ffff:127.0.0.1": "not public",
    "64:ff9b::10.0.0.1": "private",
    "64:ff9b::169.254.169.254": "link-local",
    "64:ff9b:1::8.8.8.8": "not public",
    "100::1": "not public",
    "2001::1": "for protocols",
    "2001:db8::1": "for documentation",
    "2002:0808:0808::1": "a tunnel",
    "3fff::1": "for documentation",
    "4000::1": "not public",
    "5f00::1": "not public",
    "fd00:ec2::254": "not public",
    "fe80::1%eth0": "not public",
    "ff02::1": "not public",
}
PUBLIC = (
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.0.1",
    "172.32.0.1",
    "192.0.1.1",
    "223.255.255.255",
)
PUBLIC_6 = ("2001:4860:4860::8888", "2606:4700::1111", "2a00:1450::e000:1", "64:ff9b::8.8.8.8")


@pytest.mark.parametrize(("address", "kind"), REFUSED.items())
def test_an_address_that_is_not_public_is_refused(address: str, kind: str) -> None:
    assert fault_of_address(parse_address(address)) == kind


@pytest.mark.parametrize("address", [*PUBLIC, *PUBLIC_6])
def test_an_address_that_is_public_is_not(address: str) -> None:
    assert fault_of_address(parse_address(address)) is None


@given(st.ip_addresses())
def test_nothing_that_python_calls_special_is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert fault_of_address(address) is not None
    if address.is_unspecified or (address.version == 4 and address.is_reserved):
        assert fault_of_address(address) is not None


@given(st.ip_addresses(v=4))
def test_an_address_within_another_is_as_refused_as_by_itself(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    nat64 = ipaddress.IPv6Address(0x64FF9B << 96 | number)
    assert fault_of_address(nat64) == fault_of_address(address)
    for other in (0xFFFF << 32 | number, 0x2002 << 112 | number << 80, number, 0xFFFF << 48 | number):
        assert fault_of_address(ipaddress.IPv6Address(other)) is not None


EVERYTHING = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "::1", "fd00::1", "100.64.0.1"])
def test_a_network_that_is_allowed_may_be_reached(address: str) -> None:
    assert fault_of_address(parse_address(address), EVERYTHING) is None


@pytest.mark.parametrize(
    "address",
    [
        *(
            "169.254.169.254",
            "168.63.129.16",
            "100.100.100.200",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.0.192",
        ),
        *("::", "fe80::1", "fd00:ec2::254", "fd20:ce::254", "fd00:42::42", "ff02::1"),
        *("::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "64:ff9b:1::169.254.169.254", "2002:a9fe:a9fe::1"),
        *("::ffff:0:169.254.169.254",),
    ],
)
def test_metadata_is_reached_by_no_setting(address: str) -> None:
    assert fault_of_address(parse_address(address), EVERYTHING) is not None


async def nowhere(host: str, port: int) -> list[str]:
    raise AssertionError("nothing is looked up")


@pytest.mark.parametrize(
    ("hosts", "url", "listed"),
    [
        (["example.com"], "http://example.com/", True),
        (["EXAMPLE.com"], "http://example.COM/", True),
        (["example.com"], "http://www.example.com/", False),
        (["*.example.com"], "http://www.example.com/", True),
        (["*.example.com"], "http://a.b.example.com/", True),
        (["*.example.com"], "http://example.com/", False),
        (["*.example.com"], "http://badexample.com/", False),
        (["*.example.com"], "http://example.com.evil.example/", False),
        (["müller.example"], "http://xn--mller-kva.example/", True),
        (["8.8.8.8"], "http://8.8.8.8/", True),
        (["8.8.8.8"], "http://8.8.4.4/", False),
        (["[2606:4700::1111]"], "http://[2606:4700:0::1111]/", True),
        (["a.example", "b.example"], "http://b.example/", True),
        ([], "http://anything.example/", True),
    ],
)
def test_only_listed_hosts_are_let_through(hosts: list[str], url: str, listed: bool) -> None:
    guard = SourceGuard(allowed_hosts=hosts, resolver=nowhere)
    if listed:
        assert guard.check_form(url) == parse_url(url)
    else:
        with pytest.raises(SourceRefusedError, match="its host is not in allowed_hosts"):
            guard.check_form(url)


@pytest.mark.parametrize(
    "pattern", ["", "*", "*.", "*example.com", "a.*.example", "http://example.com", "example.com/", "127.1"]
)
def test_what_is_no_host_is_not_listed(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"is no host: .*; write example\.com or \*\.example\.com"):
        check_host_pattern(pattern)


def test_what_needs_a_list_of_hosts_is_refused_without() -> None:
    with pytest.raises(ValueError, match="allowed_hosts is empty"):
        SourceGuard(through_proxy=True, resolver=nowhere)
    with pytest.raises(ValueError, match="allowed_hosts is empty"):
        SourceGuard(allowed_networks=EVERYTHING, resolver=nowhere)


def test_an_ipv6_host_header_has_brackets() -> None:
    assert Url("https", "::1", 8443, "/").authority == "[::1]:8443"


@pytest.mark.anyio
async def test_the_system_looks_up_names() -> None:
    resolver = SystemResolver()

    assert "127.0.0.1" in await resolver("localhost", 80)
    with pytest.raises(OSError, match="not known"):
        await resolver("nothing.invalid", 80)
    resolver.close()
