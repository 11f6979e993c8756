import dataclasses

import pytest

from contrail_emulator.base.behaviour import CONTRAIL, RFC, Behaviour, fields, profile


def test_profiles_are_found_by_name() -> None:
    assert profile("contrail") is CONTRAIL
    assert profile("rfc") is RFC
    with pytest.raises(ValueError, match="behaviour 'cisco': expected contrail or rfc"):
        profile("cisco")


def test_every_peculiarity_differs_between_the_profiles_and_every_defect_is_off() -> None:
    for switch in fields():
        if switch.kind == "peculiarity":
            assert switch.contrail is not switch.rfc, switch.name
        else:
            assert not switch.contrail and not switch.rfc, switch.name


def test_every_switch_says_what_it_does_and_where_that_was_read() -> None:
    assert {switch.name for switch in fields()} == {field.name for field in dataclasses.fields(Behaviour)}
    for switch in fields():
        assert switch.says.endswith(".") and len(switch.says) <= 110, switch.name
        assert switch.source.split()[0] in {"bgp.md", "xmpp.md", "agent.md", "dns.md", "RFC"}, switch.name


def test_one_defect_can_be_asked_for() -> None:
    broken = dataclasses.replace(CONTRAIL, packed_evpn_l3_label_lost=True)
    assert broken.packed_evpn_l3_label_lost and broken != CONTRAIL
    with pytest.raises(dataclasses.FrozenInstanceError):
        broken.packed_evpn_l3_label_lost = False  # type: ignore[misc]  # the point of the test
