from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrail_emulator.base.conf import ConfError, ConfFile
from contrail_emulator.base.servers import Endpoint

SAMPLE = """\
# contrail-vrouter-agent.conf
[DEFAULT]
agent_name = compute-7 ; the host
log_level=SYS_NOTICE
collectors = 10.0.0.1:8086   10.0.0.2:8086
collectors = 10.0.0.3:8086
xmpp_auth_enable = False
http_server_port = 8085

[CONTROL-NODE]
servers=10.0.0.1:5269 10.0.0.2
password = pa#ss;word
empty =
"""


def test_typed_getters() -> None:
    conf = ConfFile.parse(SAMPLE)
    assert conf.text("DEFAULT", "agent_name") == "compute-7"
    assert conf.words("DEFAULT", "collectors") == ("10.0.0.1:8086", "10.0.0.2:8086", "10.0.0.3:8086")
    assert conf.boolean("DEFAULT", "xmpp_auth_enable", True) is False
    assert conf.port("DEFAULT", "http_server_port", 1) == 8085
    assert conf.servers("CONTROL-NODE", "servers", default_port=5269) == (
        Endpoint("10.0.0.1", 5269),
        Endpoint("10.0.0.2", 5269),
    )
    assert conf.text("CONTROL-NODE", "password") == "pa#ss;word"
    assert conf.choice("DEFAULT", "log_level", "SYS_INFO", ["SYS_INFO", "SYS_NOTICE"]) == "SYS_NOTICE"
    assert conf.text("CONTROL-NODE", "empty", "default") == "" and conf.has("CONTROL-NODE", "empty")
    assert conf.address("CONTROL-NODE", "empty", "127.0.0.1") == "127.0.0.1"


def test_defaults_stand_for_what_is_absent() -> None:
    conf = ConfFile.parse("")
    assert conf.text("A", "b", "x") == "x"
    assert conf.integer("A", "b", 7) == 7
    assert conf.words("A", "b", ["x"]) == ("x",)
    assert conf.servers("A", "b", [Endpoint("h", 1)]) == (Endpoint("h", 1),)
    assert not conf.has("A", "b")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("n = many", "f.conf:2: S.n: expected a number of 0 to 9"),
        ("n = 10", "f.conf:2: S.n: expected a number of 0 to 9"),
        ("n = ", "f.conf:2: S.n: expected a number of 0 to 9"),
        ("n = \u0661", "f.conf:2: S.n: expected a number of 0 to 9"),
        ("n = 1\nn = 2", "f.conf:3: S.n: expected one value, given again"),
        ("n", "f.conf:2: expected [SECTION] or key = value"),
        ("= 3", "f.conf:2: expected [SECTION] or key = value"),
        ("[S", "f.conf:2: expected [SECTION] or key = value"),
    ],
)
def test_errors_name_file_line_and_what_was_expected(line: str, expected: str) -> None:
    with pytest.raises(ConfError) as caught:
        ConfFile.parse(f"[S]\n{line}\n", "f.conf").integer("S", "n", 0, 0, 9)
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("kind", "text"), [("boolean", "maybe"), ("address", "10.0.0"), ("choice", "c"), ("servers", "a:b")]
)
def test_other_kinds_complain_likewise(kind: str, text: str) -> None:
    conf = ConfFile.parse(f"[S]\nk = {text}\n", "f.conf")
    with pytest.raises(ConfError, match=r"^f\.conf:2: S\.k: expected "):
        if kind == "boolean":
            conf.boolean("S", "k", True)
        elif kind == "address":
            conf.address("S", "k", "127.0.0.1")
        elif kind == "choice":
            conf.choice("S", "k", "a", ["a", "b"])
        else:
            conf.servers("S", "k")


def test_a_key_needs_a_section() -> None:
    with pytest.raises(ConfError, match=r"^f:1: k: expected a \[SECTION\] above it"):
        ConfFile.parse("k = 1", "f")


def test_later_files_win_and_the_command_line_wins_over_all(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("[S]\none = a\nlist = x y\nkept = a\n")
    (tmp_path / "b.conf").write_text("[S]\none = b\nlist = z\n")
    conf = ConfFile.load(tmp_path / "a.conf", tmp_path / "b.conf")
    assert conf.text("S", "one") == "b"
    assert conf.words("S", "list") == ("z",)
    assert conf.text("S", "kept") == "a"
    conf.override("S", "one", "c")
    assert conf.text("S", "one") == "c"


def test_keys_nobody_asked_for_are_reported(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("[S]\none = a\n\ntwoo = b\n")
    conf = ConfFile.load(tmp_path / "a.conf")
    conf.text("S", "one")
    conf.text("S", "two")
    assert conf.unknown() == (f"{tmp_path}/a.conf:4: S.twoo: unknown",)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfError, match=r"none\.conf: No such file or directory$"):
        ConfFile.load(tmp_path / "none.conf")
    (tmp_path / "latin.conf").write_bytes(b"[S]\nname = caf\xe9\n")
    with pytest.raises(ConfError, match=r"latin\.conf:2: expected UTF-8 text$"):
        ConfFile.load(tmp_path / "latin.conf")


@given(st.text())
def test_any_text_is_read_or_refused_with_its_line(text: str) -> None:
    try:
        conf = ConfFile.parse(text, "f")
    except ConfError as error:
        assert str(error).startswith("f:")
    else:
        assert all(line.startswith("f:") for line in conf.unknown())
