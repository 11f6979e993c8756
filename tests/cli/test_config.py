"""`config load|dump|diff` over an SQLite file, a conf file's servers and a lab file."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import pytest
import yaml
from cli.processes import call, here

from contrail_emulator.base.conf import ConfFile
from contrail_emulator.cli.daemons_store import Connections
from contrail_emulator.config.backends import ConfigDbSettings
from contrail_emulator.config.drivers import DriverMissing

DOCUMENT = """objects:
- {type: virtual-network, fq_name: [default-domain, demo, blue], parent_type: project}
- {type: project, fq_name: [default-domain, demo]}
"""


def test_load_dump_and_diff_of_a_lab_s_file(tmp_path: Path) -> None:
    lab = tmp_path / "lab.yaml"
    lab.write_text("name: x\nautonomous_system: 64512\nconfig: {path: config.db}\n")
    (tmp_path / "in.yaml").write_text(DOCUMENT)
    done = call("config", "load", "in.yaml", "--lab", "lab.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "made 2, changed 0, of 2\n"), done.stderr
    done = call("config", "diff", "in.yaml", "--database", "config.db", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    (tmp_path / "in.yaml").write_text(
        DOCUMENT.replace("parent_type: project", "is_shared: true").replace("demo]", "d]")
    )
    done = call("config", "diff", "in.yaml", "--database", "config.db", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "virtual-network default-domain:demo:blue: is_shared: file true, store null",
        "project default-domain:d: not in the store",
    ]
    done = call("config", "dump", "out.json", "--lab", "lab.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = call("config", "dump", "--database", "config.db", cwd=tmp_path)
    assert yaml.safe_load(shown.stdout) == yaml.safe_load((tmp_path / "out.json").read_text())
    again = call("config", "load", "out.json", "--database", "other.db", cwd=tmp_path)
    assert again.returncode == 0 and again.stdout.startswith("made 2, changed 0"), again.stdout + again.stderr


MISTAKES = [
    (["load", "in.yaml"], 2, "expected one of --config-file, --database and --lab"),
    (["load", "in.yaml", "--database", "x", "--lab", "y"], 2, "expected one of --config-file, --database and --lab"),
    (["load"], 2, "Missing argument 'FILE'"),
    (["load", "absent.yaml", "--database", "x"], 1, "absent.yaml: No such file or directory"),
    (["load", "binary", "--database", "x"], 1, "binary: expected UTF-8 text"),
    (["load", "bad.yaml", "--database", "x"], 1, "bad.yaml: objects[0]: expected an object with a type"),
    (["dump", "--database", "absent.db"], 1, "absent.db: No such file or directory"),
    (["diff", "in.yaml", "--database", "absent.db"], 1, "absent.db: No such file or directory"),
    (["dump", "--database", "empty"], 1, "empty: expected an SQLite file with a configuration, found an empty file"),
    (["dump", "--database", "in.yaml"], 1, "in.yaml: file is not a database"),
    (["load", "in.yaml", "--database", "in.yaml"], 1, "in.yaml: file is not a database"),
    (["load", "in.yaml", "--database", "no/x.db"], 1, "no/x.db: there is no folder no"),
    (["dump", "--lab", "lab.yaml"], 1, "its configuration is in memory"),
    (["dump", "--lab", "absent.yaml"], 1, "absent.yaml: No such file or directory"),
    (["dump", "--config-file", "absent.conf"], 1, "absent.conf"),
]


@pytest.mark.parametrize(("arguments", "status", "expected"), MISTAKES, ids=[" ".join(row[0]) for row in MISTAKES])
def test_mistakes_give_one_line(
    arguments: list[str],
    status: int,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "in.yaml").write_text(DOCUMENT)
    (tmp_path / "bad.yaml").write_text("objects: [1]\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "lab.yaml").write_text("name: x\nautonomous_system: 64512\n")
    (tmp_path / "empty").touch()
    monkeypatch.chdir(tmp_path)
    code, output, errors = here("config", *arguments)
    assert (code, output) == (status, "")
    assert (tmp_path / "empty").stat().st_size == 0
    assert expected in errors
    assert errors.count("\n") == 1 and errors.startswith("contrail-emulator: ")


def test_an_object_that_is_refused_is_named(tmp_path: Path) -> None:
    (tmp_path / "in.yaml").write_text(DOCUMENT.replace("parent_type: project", "zonk: 1"))
    done = call("config", "load", "in.yaml", "--database", "c.db", cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "virtual-network default-domain:demo:blue" in done.stderr and "zonk" in done.stderr


def test_without_what_speaks_to_servers_one_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pika", None)
    conf = tmp_path / "any.conf"
    conf.touch()
    code, output, errors = here("config", "dump", "--config-file", str(conf))
    assert (code, output) == (1, "") and errors.count("\n") == 1
    assert errors.startswith("contrail-emulator: pika is not installed") and "contrail-emulator[cluster]" in errors
    settings = ConfigDbSettings.from_conf(ConfFile.load(conf), "127.0.0.1")
    with pytest.raises(DriverMissing, match="pika is not installed"):
        Connections(object(), settings, None, Random(1))
