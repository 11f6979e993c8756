"""The fixture as a user writes it (design.md, section 4)."""

from pathlib import Path

import pytest

from contrail_emulator.lab.errors import LabError
from contrail_emulator.lab.sync import Lab


@pytest.mark.lab("two.yaml")
def test_ping(lab: Lab) -> None:
    lab.converge(timeout=90)
    there = lab.machine("vm2").address
    assert str(there) == "10.1.0.252", "the writer allocates downward from below the DNS address"
    assert lab.machine("vm1").ping(there).received == 1
    assert lab.control["control-1"].routes("bgp.l3vpn.0", f"{there}/32")
    with pytest.raises(LabError, match=r"control-1 has no table nope\.0"):
        lab.control["control-1"].routes("nope.0")


def test_a_failing_test_shows_capture_and_events(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.lab("two.yaml")
        def test_fails(lab):
            lab.converge(timeout=90)
            assert False
        """
    )
    source = Path(__file__).with_name("two.yaml")
    (pytester.path / "two.yaml").write_text(source.read_text())
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*lab capture*", "*lab.pcapng", "*lab events*", "*agent compute-1 connected*"])
    result.stdout.no_fnmatch_line("*log_legacy*")  # Twisted's "starting on 6635": a session's events, not a socket's


def test_a_lab_file_with_a_mistake_is_one_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.lab("bad.yaml")
        def test_bad(lab): ...

        @pytest.mark.lab("absent.yaml")
        def test_absent(lab): ...
        """
    )
    (pytester.path / "bad.yaml").write_text("name: x\nautonomous_system: 64512\ncolour: red\n")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*bad.yaml:3: colour: unknown key", "*absent.yaml: No such file or directory"])
    result.stdout.no_fnmatch_line("*LabError*")
    result.stdout.no_fnmatch_line("*lab capture*")
