import io
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger

from contrail_emulator.base import log


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    text = io.StringIO()
    stop = log.configure("info", stream=text)
    yield text
    stop()


def test_a_line_has_time_level_namespace_and_text(stream: io.StringIO) -> None:
    Logger(namespace="tests.room").info("peer {peer} is up", peer="10.0.0.1")
    time, level, namespace, text = stream.getvalue().rstrip("\n").split(" ", 3)
    assert time.endswith("Z") and len(time) == len("2026-01-31T12:00:00.123456Z")
    assert (level, namespace, text) == ("info", "tests.room", "peer 10.0.0.1 is up")


def test_levels_below_are_left_out(stream: io.StringIO) -> None:
    Logger(namespace="tests.room").debug("quiet")
    assert stream.getvalue() == ""


def test_an_unknown_level_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'loud': expected one of debug, info"):
        log.configure("loud")


def test_a_failure_is_one_event_with_its_traceback(stream: io.StringIO) -> None:
    try:
        raise RuntimeError("broken\npipe")
    except RuntimeError:
        Logger(namespace="tests.room").failure("session ended")
    (line,) = stream.getvalue().splitlines()
    assert " critical tests.room session ended\\nTraceback" in line
    assert "RuntimeError: broken\\npipe" in line


PROGRAM = """
import warnings
from twisted.logger import Logger
from twisted.python import log as old
from contrail_emulator.base import log
log.configure()
log.configure(json=True)
try:
    1 / 0
except ZeroDivisionError:
    Logger(namespace="x").failure("boom")
old.msg("an old friend")
warnings.warn("careful")
print("printed")
"""


def test_a_process_says_everything_once_and_in_the_chosen_form() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30)
    assert done.stdout == "printed\n"
    lines = done.stderr.splitlines()
    assert len(lines) == 6
    for number, text in enumerate(("boom", "an old friend", "careful")):
        assert text in lines[2 * number] and text in json.loads(lines[2 * number + 1])["text"]


def test_json_lines_carry_values_and_traceback() -> None:
    text = io.StringIO()
    stop = log.configure("debug", json=True, stream=text)
    try:
        raise ValueError("no")
    except ValueError:
        Logger(namespace="tests.room").failure("gone {peer}", peer="a", raw=b"\x00")
    stop()
    record = json.loads(text.getvalue())
    assert record["text"] == "gone a" and record["peer"] == "a" and record["raw"] == "b'\\x00'"
    assert record["level"] == "critical" and "ValueError: no" in record["traceback"]


def test_a_value_that_cannot_be_printed_does_not_stop_the_log() -> None:
    class Unprintable:
        def __str__(self) -> str:
            raise RuntimeError("never")

    text = io.StringIO()
    stop = log.configure(json=True, stream=text)
    Logger(namespace="tests.room").info("value", value=Unprintable())
    stop()
    assert json.loads(text.getvalue())["value"] == "<Unprintable: RuntimeError while printing>"


def test_a_closed_stream_is_left_alone_after_its_first_error() -> None:
    class Full(io.StringIO):
        writes = 0

        def write(self, text: str) -> int:
            self.writes += 1
            raise OSError(28, "No space left on device")

    full = Full()
    stop = log.configure(stream=full)
    Logger(namespace="tests.room").info("one")
    Logger(namespace="tests.room").info("two")
    stop()
    assert full.writes == 1


@given(st.text(), st.text())
def test_whatever_a_peer_says_stays_on_one_line_and_stays_distinct(left: str, right: str) -> None:
    escaped = log.escape(left)
    assert len((escaped + "x").splitlines()) == 1
    assert (escaped == log.escape(right)) == (left == right)
