"""Contrail's INI conf files: sections, ``key = value``, lists separated by blanks, later files win over earlier ones.

A ``#`` or ``;`` begins a comment at the start of a line or after a blank. A key may be repeated in one file only where
a list is expected. Names are case sensitive, as in the real daemons.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .servers import Endpoint, parse_endpoint

T = TypeVar("T")

_SECTION = re.compile(r"\[([^\[\]]+)\]")
_COMMENT = re.compile(r"(^|\s)[#;].*")
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


class ConfError(ValueError):
    """One line: ``file:line: section.key: what was expected``."""


@dataclass(frozen=True, slots=True)
class _Value:
    place: str
    text: str


class ConfFile:
    """The values of one or more conf files. Getters give ``default`` for what is absent, ConfError for nonsense."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], list[_Value]] = {}
        self._asked: set[tuple[str, str]] = set()
        self._names: list[str] = []

    @classmethod
    def load(cls, *paths: str | Path) -> ConfFile:
        """Read the files in order. Raises ConfError, also for a file that cannot be read."""
        conf = cls()
        for path in paths:
            conf._read(str(path), _text_of(path))
        return conf

    @classmethod
    def parse(cls, text: str, name: str = "<text>") -> ConfFile:
        """The same from a text; ``name`` stands for the file in errors."""
        conf = cls()
        conf._read(name, text)
        return conf

    def override(self, section: str, key: str, value: str) -> None:
        """A value of the command line (``--SECTION.key value``) wins over every file."""
        self._values[section, key] = [_Value("command line", value)]

    def has(self, section: str, key: str) -> bool:
        """True when the key is given, even with an empty value."""
        return (section, key) in self._values

    def text(self, section: str, key: str, default: str = "") -> str:
        """The value as it stands."""
        return self._one(section, key, default, str, "")

    def integer(
        self, section: str, key: str, default: int, minimum: int = 0, maximum: int = 0xFFFFFFFF
    ) -> int:
        """A decimal number within bounds."""

        def convert(text: str) -> int:
            if not re.fullmatch(r"[+-]?[0-9]{1,20}", text) or not minimum <= int(text) <= maximum:
                raise ValueError
            return int(text)

        return self._one(section, key, default, convert, f"a number of {minimum} to {maximum}")

    def port(self, section: str, key: str, default: int) -> int:
        """A TCP or UDP port; 0 takes a free one."""
        return self.integer(section, key, default, 0, 0xFFFF)

    def boolean(self, section: str, key: str, default: bool) -> bool:
        """true, yes, on, 1 or false, no, off, 0."""

        def convert(text: str) -> bool:
            word = text.lower()
            if word not in _TRUE and word not in _FALSE:
                raise ValueError
            return word in _TRUE

        return self._one(section, key, default, convert, "true or false")

    def choice(self, section: str, key: str, default: str, choices: Sequence[str]) -> str:
        """One of some words."""

        def convert(text: str) -> str:
            if text not in choices:
                raise ValueError
            return text

        return self._one(section, key, default, convert, f"one of {', '.join(choices)}")

    def address(self, section: str, key: str, default: str) -> str:
        """An IPv4 or IPv6 address in its usual text form; an empty value counts as absent."""

        def convert(text: str) -> str:
            return str(ipaddress.ip_address(text)) if text else default

        return self._one(section, key, default, convert, "an IP address")

    def words(self, section: str, key: str, default: Sequence[str] = ()) -> tuple[str, ...]:
        """A list: words separated by blanks, in one line or several of the same key."""
        return self._many(section, key, tuple(default), str, "")

    def servers(
        self, section: str, key: str, default: Sequence[Endpoint] = (), default_port: int | None = None
    ) -> tuple[Endpoint, ...]:
        """A list of ``ip:port`` (see base.servers); doubles are left out."""

        def convert(text: str) -> Endpoint:
            return parse_endpoint(text, default_port)

        return tuple(dict.fromkeys(self._many(section, key, tuple(default), convert, "a list of ip:port")))

    def wrong(self, section: str, key: str, message: str) -> ConfError:
        """The error to raise for what a value means to its reader; names the files when the key is absent."""
        values = self._values.get((section, key))
        place = values[-1].place if values else ", ".join(self._names)
        return ConfError(f"{place}: {section}.{key}: {message}" if place else f"{section}.{key}: {message}")

    def unknown(self) -> tuple[str, ...]:
        """One line for each key no getter asked for so far: call it after reading everything."""
        return tuple(
            f"{values[0].place}: {section}.{key}: unknown"
            for (section, key), values in self._values.items()
            if (section, key) not in self._asked
        )

    def _one(self, section: str, key: str, default: T, convert: Callable[[str], T], expected: str) -> T:
        self._asked.add((section, key))
        values = self._values.get((section, key))
        if values is None:
            return default
        if len(values) > 1:
            raise ConfError(f"{values[1].place}: {section}.{key}: expected one value, given again")
        return _converted(section, key, values[0], values[0].text, convert, expected)

    def _many(
        self, section: str, key: str, default: tuple[T, ...], convert: Callable[[str], T], expected: str
    ) -> tuple[T, ...]:
        self._asked.add((section, key))
        values = self._values.get((section, key))
        if values is None:
            return default
        return tuple(
            _converted(section, key, value, word, convert, expected) for value in values for word in value.text.split()
        )

    def _read(self, name: str, text: str) -> None:
        self._names.append(name)
        section: str | None = None
        values: dict[tuple[str, str], list[_Value]] = {}
        for number, raw in enumerate(text.split("\n"), 1):
            line = _COMMENT.sub("", raw).strip()
            place = f"{name}:{number}"
            if not line:
                continue
            header = _SECTION.fullmatch(line)
            if header is not None:
                section = header.group(1).strip()
                continue
            key, equals, value = line.partition("=")
            if not equals or not key.strip():
                raise ConfError(f"{place}: expected [SECTION] or key = value")
            if section is None:
                raise ConfError(f"{place}: {key.strip()}: expected a [SECTION] above it")
            values.setdefault((section, key.strip()), []).append(_Value(place, value.strip()))
        self._values.update(values)


def _converted(
    section: str, key: str, value: _Value, text: str, convert: Callable[[str], T], expected: str
) -> T:
    try:
        return convert(text)
    except ValueError:
        raise ConfError(f"{value.place}: {section}.{key}: expected {expected}") from None


def _text_of(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfError(f"{path}:{line}: expected UTF-8 text") from None
