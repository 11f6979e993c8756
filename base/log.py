"""One line per event on a stream: time, level, namespace, text; or one JSON object per line.

Daemons make their own ``twisted.logger.Logger()``; a main (or a lab) calls ``configure`` once.
"""

from __future__ import annotations

import json as json_module
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TextIO

from twisted.logger import (
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
    globalLogBeginner,
    globalLogPublisher,
)
from twisted.python.failure import Failure
from zope.interface import implementer

LEVELS = ("debug", "info", "warn", "error", "critical")

_OWN_KEYS = frozenset({"isError", "message", "time", "system", "format", "failure", "why", "log", "id"})


def configure(level: str = "info", json: bool = False, stream: TextIO | None = None) -> Callable[[], None]:
    """Write events of ``level`` and above to ``stream`` (standard error when None). Returns a function that stops it.

    Python's warnings become events too. Raises ValueError for an unknown level.
    """
    if level not in LEVELS:
        raise ValueError(f"log level {level!r}: expected one of {', '.join(LEVELS)}")
    write = LineObserver(sys.stderr if stream is None else stream, json)
    predicate: ILogFilterPredicate = LogLevelFilterPredicate(LogLevel.levelWithName(level))
    observer = FilteringLogObserver(write, [predicate])
    if getattr(globalLogBeginner, "_temporaryObserver", None) is None:  # begun before; there is no public way to ask
        globalLogPublisher.addObserver(observer)
    else:  # ends twisted's own printing of critical events on standard error
        globalLogBeginner.beginLoggingTo([observer], discardBuffer=True, redirectStandardIO=False)

    def stop() -> None:
        globalLogPublisher.removeObserver(observer)

    return stop


@implementer(ILogObserver)
class LineObserver:
    """Writes each event as one line. A stream that fails is not written to again: logging never ends a daemon."""

    def __init__(self, stream: TextIO, json: bool = False) -> None:
        self._stream = stream
        self._shape = json_line if json else text_line
        self._broken = False

    def __call__(self, event: LogEvent) -> None:
        if self._broken:
            return
        try:
            self._stream.write(self._shape(event) + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream is closed, or its encoding lacks a character
            self._broken = True


def text_line(event: LogEvent) -> str:
    """``2026-01-31T12:00:00.123456Z info contrail_emulator.control text`` without line ends inside."""
    text = escape(formatEvent(event))
    failure = event.get("log_failure")
    if failure is not None:
        text = f"{text}\\n{escape(_traceback(failure))}" if text else escape(_traceback(failure))
    return f"{_time(event)} {_level(event)} {escape(str(event.get('log_namespace', '-')))} {text}"


def json_line(event: LogEvent) -> str:
    """One JSON object: time, level, namespace, text, traceback when there is one, and the event's own values."""
    record: dict[str, Any] = {
        "time": _time(event),
        "level": _level(event),
        "namespace": str(event.get("log_namespace", "-")),
        "text": formatEvent(event),
    }
    failure = event.get("log_failure")
    if failure is not None:
        record["traceback"] = _traceback(failure)
    for key, value in event.items():
        if key not in record and key not in _OWN_KEYS and not key.startswith("log_"):
            record[key] = value if isinstance(value, (str, int, float, bool)) or value is None else _safe_text(value)
    return json_module.dumps(record)


def escape(text: str) -> str:
    """The text on one line: backslash, control characters and line separators become escapes."""
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(
        "\\\\" if char == "\\" else char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def _time(event: LogEvent) -> str:
    seconds = event.get("log_time")
    if not isinstance(seconds, (int, float)):
        return "-"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _level(event: LogEvent) -> str:
    level = event.get("log_level")
    return level.name if level is not None else "info"


def _traceback(failure: object) -> str:
    if isinstance(failure, Failure):
        return str(failure.getTraceback()).rstrip("\n")
    if isinstance(failure, BaseException):
        return "".join(traceback.format_exception(failure)).rstrip("\n")
    return _safe_text(failure)


def _safe_text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a value's own __str__ may raise anything; the log must go on
        return f"<{type(value).__name__}: {type(error).__name__} while printing>"
