"""SDP as text: a bounded parser into values that keep their line numbers (RFC 8866).

It knows the grammar and nothing of its meaning; `negotiation` gives it that. An offer comes from
anybody, so size, lines and sections are bounded, control characters end the parse, and every error
names its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from config.ids import MAX_PORT

MAX_BYTES: Final = 65_536
MAX_LINES: Final = 2_048
MAX_LINE: Final = 4_096
MAX_SECTIONS: Final = 32

_TYPES: Final = frozenset("vosiuepcbtrzkam")
_FRAGMENT_TYPES: Final = frozenset("amc")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+")
_PROTOCOL: Final = re.compile(rf"{_TOKEN.pattern}(?:/{_TOKEN.pattern})*")
_MEDIA: Final = re.compile(
    rf"({_TOKEN.pattern}) (\d{{1,5}})(?:/\d{{1,5}})? ({_PROTOCOL.pattern}) (.+)", re.ASCII
)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class SdpError(Exception):
    """The text is not SDP, or says something that cannot be; `line` counts from 1."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")
        self.line = line
        self.why = why


class Attribute(msgspec.Struct, frozen=True):
    """One `a=` line; `value` is empty for a flag."""

    line: int
    name: str
    value: str


class Block(msgspec.Struct, frozen=True):
    """Attributes of one level, in order."""

    line: int
    attributes: tuple[Attribute, ...]

    def all(self, name: str) -> Iterator[Attribute]:
        """Every attribute of that name."""
        return (attribute for attribute in self.attributes if attribute.name == name)

    def first(self, name: str) -> Attribute | None:
        """The first attribute of that name."""
        return next(self.all(name), None)

    def has(self, name: str) -> bool:
        """True if there is one."""
        return self.first(name) is not None


class Section(Block, frozen=True):
    """An `m=` line and what follows it."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]

    @property
    def mid(self) -> str:
        """Its identification tag (RFC 5888), or empty."""
        mid = self.first("mid")
        return mid.value if mid else ""


class Description(Block, frozen=True):
    """A whole session description; its own attributes are the session-level ones."""

    sections: tuple[Section, ...]


def is_token(text: str) -> bool:
    """True if the text is a `token` of RFC 8866, section 9."""
    return _TOKEN.fullmatch(text) is not None


def parse_description(text: str) -> Description:
    """Read an offer or an answer. Raises SdpError.

    Lines may end in CRLF or LF; empty lines are accepted at the end only.
    """
    lines = _lines(text)
    if not lines or lines[0] != "v=0":
        raise SdpError(1, "does not begin with v=0")
    _check(lines)
    if len(lines) < 2 or not lines[1].startswith("o="):
        raise SdpError(2, "the second line is not o=")
    return _blocks(lines)


def parse_fragment(text: str) -> Description:
    """Read an SDP fragment: attributes and media lines alone (RFC 8840, 9). Raises SdpError."""
    lines = _lines(text)
    if not lines:
        raise SdpError(1, "the fragment is empty")
    _check(lines)
    for number, line in enumerate(lines, start=1):
        if line[0] not in _FRAGMENT_TYPES:
            raise SdpError(number, f"a fragment has no {line[0]}= line")
    return _blocks(lines)


def _blocks(lines: list[str]) -> Description:
    session: list[Attribute] = []
    sections: list[Section] = []
    attributes = session
    media: tuple[int, re.Match[str]] | None = None
    for number, line in enumerate(lines, start=1):
        type_, value = line[0], line[2:]
        if type_ == "m":
            if media is not None:
                sections.append(_section(*media, attributes))
            media, attributes = (number, _media(number, value)), []
            if len(sections) >= MAX_SECTIONS:
                raise SdpError(number, f"more than {MAX_SECTIONS} media sections")
        elif type_ == "a":
            name, _, rest = value.partition(":")
            if not is_token(name):
                raise SdpError(number, "an attribute needs a name")
            attributes.append(Attribute(number, name, rest.strip()))
    if media is not None:
        sections.append(_section(*media, attributes))
    return Description(1, tuple(session), tuple(sections))


def _lines(text: str) -> list[str]:
    if len(text) > MAX_BYTES or len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise SdpError(1, f"longer than {MAX_BYTES} bytes")
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _check(lines: list[str]) -> None:
    if len(lines) > MAX_LINES:
        raise SdpError(MAX_LINES + 1, f"more than {MAX_LINES} lines")
    for number, line in enumerate(lines, start=1):
        if len(line) > MAX_LINE:
            raise SdpError(number, f"longer than {MAX_LINE} characters")
        if line[1:2] != "=" or line[0] not in _TYPES:
            raise SdpError(number, f"{line[:20]!r} is not <type>=<value>")
        if _CONTROL.search(line):
            raise SdpError(number, "a control character")


def _media(number: int, value: str) -> re.Match[str]:
    match = _MEDIA.fullmatch(value)
    if match is None:
        raise SdpError(number, f"{value[:60]!r} is not <media> <port> <protocol> <formats>")
    if int(match[2]) > MAX_PORT:
        raise SdpError(number, f"port {match[2]} is not in 0-{MAX_PORT}")
    return match


def _section(number: int, media: re.Match[str], attributes: list[Attribute]) -> Section:
    kind, port, protocol, formats = media.groups()
    names = tuple(formats.split())
    for name in names:
        if not is_token(name):
            raise SdpError(number, f"{name[:20]!r} is not a format")
    section = Section(number, tuple(attributes), kind, int(port), protocol, names)
    mid = section.first("mid")
    if mid is not None and not is_token(mid.value):
        raise SdpError(mid.line, f"{mid.value[:20]!r} is not a mid")
    return section
