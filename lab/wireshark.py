"""What Wireshark must be told to read a lab's capture: its ports are the lab's own (docs/captures.md)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .model import LabFile

BGP_PORT, XMPP_PORT, DNS_PORT = 179, 5269, 53


def decode_as(file: LabFile) -> Iterator[str]:
    """The values of tshark's `-d`, one for each port that is not the protocol's own."""
    ports: dict[tuple[str, int], str] = {}
    for node in file.control_nodes:
        ports["tcp", node.bgp_port] = "bgp"
        ports["tcp", node.xmpp_port] = "xmpp"
    for peer in file.bgp_peers:
        ports["tcp", peer.port] = "bgp"
    if file.dns is not None:
        ports["udp", file.dns.port] = "dns"
        ports["tcp", file.dns.port] = "dns"
        ports["tcp", file.dns.xmpp_port] = "xmpp"
    own = {("tcp", BGP_PORT), ("tcp", XMPP_PORT), ("udp", DNS_PORT), ("tcp", DNS_PORT)}
    for (transport, port), protocol in sorted(ports.items()):
        if (transport, port) not in own:
            yield f"{transport}.port=={port},{protocol}"


def options(file: LabFile) -> list[str]:
    """tshark's options: two words for each port."""
    return [word for value in decode_as(file) for word in ("-d", value)]


def write_profile(capture: Path, file: LabFile) -> Path:
    """Writes a Wireshark profile and tshark's options beside a capture; returns the profile's folder.

    CAPTURE.profile/decode_as_entries is Wireshark's own format: copy the folder into ~/.config/wireshark/profiles.
    """
    folder = capture.with_name(capture.name + ".profile")
    folder.mkdir(exist_ok=True)
    entries = []
    for value in decode_as(file):
        selector, protocol = value.split(",")
        table, port = selector.split("==")
        entries.append(f"decode_as_entry: {table},{port},(none),{protocol.upper()}")
    (folder / "decode_as_entries").write_text("\n".join(entries) + "\n", encoding="utf-8")
    (folder / "preferences").write_text(
        "tcp.check_checksum: TRUE\nip.check_checksum: TRUE\nudp.check_checksum: TRUE\n", encoding="utf-8"
    )
    (folder / "tshark-options").write_text(" ".join(options(file)) + "\n", encoding="utf-8")
    return folder
