"""Who may open a session (reference/xmpp.md 1.2, 1.8)."""

import pytest

from contrail_emulator.control.xmpp.admission import Existing, admit_name, admit_subcluster

HERE = "10.0.0.1"


@pytest.mark.parametrize(
    ("existing", "address", "helper", "accepted", "close_old"),
    [
        pytest.param(None, HERE, False, True, False, id="a new name"),
        pytest.param(None, HERE, True, True, False, id="a new name, or one that waits in a restart timer"),
        pytest.param(Existing(HERE, True), "10.0.0.2", False, False, False, id="another address"),
        pytest.param(Existing(HERE, True), "10.0.0.2", True, False, False, id="another address, helper on"),
        pytest.param(Existing(HERE, True), HERE, False, False, False, id="the old one stays"),
        pytest.param(Existing(HERE, True), HERE, True, False, True, id="both are closed with the helper on"),
        pytest.param(Existing(HERE, False), HERE, False, False, False, id="still cleaning up"),
        pytest.param(Existing(HERE, False), HERE, True, False, False, id="still cleaning up, helper on"),
    ],
)
def test_names(existing: Existing | None, address: str, helper: bool, accepted: bool, close_old: bool) -> None:
    admission = admit_name(existing, address, helper)
    assert (not admission.refusal, admission.close_old) == (accepted, close_old)


@pytest.mark.parametrize(
    ("own", "offered", "accepted"),
    [
        ("", "", True),
        ("", "edge-1", True),
        ("edge-1", "edge-1", True),
        ("edge-1", "", False),
        ("edge-1", "edge-2", False),
    ],
)
def test_subclusters(own: str, offered: str, accepted: bool) -> None:
    assert (not admit_subcluster(own, offered)) is accepted
