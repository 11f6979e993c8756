"""FLOW_SET: what an agent asks of the flow table and what it is answered (reference/vrouter.md 5)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from .encapsulation import flow_source_port
from .flags import (
    MAX_MIRRORS,
    MAX_VRFS,
    MOCK_UDP_SOURCE_PORT,
    NO_MIRROR,
    FlowAction,
    FlowExtFlag,
    FlowFlag,
    TcpFlowFlag,
)
from .rows import FLOW_DELETED, Flow, FlowKey, FlowResponse
from .tables.flows import FlowEntry, lookup_key

if TYPE_CHECKING:
    from .vrouter import VRouter

_ACTIVE = int(FlowFlag.ACTIVE)
_RFLOW_VALID = int(FlowFlag.RFLOW_VALID)


def flow_set(vr: VRouter, row: Flow) -> FlowResponse:
    """Add, change or delete one flow and release the packets it held once it has left HOLD."""
    flags = int(row.flags)
    if int(row.extflags) & int(FlowExtFlag.FORCE_EVICT):
        return _force_evict(vr, row)
    entry = vr.flows.get(row.index) if row.index >= 0 else None
    if entry is None and row.index >= 0 and vr.flows.was_evicted(row.index):
        return FlowResponse(-errno.EBUSY, row.index)
    reverse_index, code = _check(vr, row, entry)
    if code:
        return FlowResponse(code, row.index)
    if not flags & _ACTIVE:
        return _delete(vr, row, entry)
    added = entry is None
    if entry is None:
        key = lookup_key(row.key)
        existing = vr.flows.find(key)
        if existing is not None:
            return FlowResponse(-errno.EEXIST, existing.index, existing.gen_id)
        entry = vr.flows.add(key)
        if entry is None:
            return FlowResponse(-errno.ENOSPC)
    was_held = entry.action is FlowAction.HOLD
    entry.take(row)
    _set_mirrors(vr, row, entry)
    entry.rindex = reverse_index
    vr.flows.bind_port(entry)
    if added and entry.rindex >= 0:
        _inherit_tcp_state(entry, vr.flows.get(entry.rindex))
    if not entry.udp_src_port:
        entry.udp_src_port = flow_source_port(entry, vr.hash_seed)
    if entry.extflags & int(FlowExtFlag.MOCK_SRC_UDP):
        entry.udp_src_port = MOCK_UDP_SOURCE_PORT
    vr.flows.held += (entry.action is FlowAction.HOLD) - was_held
    response = FlowResponse(0, entry.index, entry.gen_id, 0, entry.bytes, entry.packets)
    if entry.action is not FlowAction.HOLD:
        vr.release_held(entry)
    return response


def _key_is_sound(key: FlowKey) -> bool:
    """Whether the key could stand in the kernel's structure: 16-bit ports, addresses of one family."""
    if not (0 <= key.sport <= 0xFFFF and 0 <= key.dport <= 0xFFFF and 0 <= key.proto <= 0xFF):
        return False
    if isinstance(key.sip, int):
        return isinstance(key.dip, int) and 0 <= key.sip <= 0xFFFFFFFF and 0 <= key.dip <= 0xFFFFFFFF
    return isinstance(key.dip, bytes) and len(key.sip) == len(key.dip) == 16


def _check(vr: VRouter, row: Flow, entry: FlowEntry | None) -> tuple[int, int]:
    """(index of the reverse flow or -1, 0 or a negative errno)."""
    flags = int(row.flags)
    if entry is not None:
        if row.gen_id & 0xFF != entry.gen_id:
            return -1, -errno.EBADF
        if row.key != entry.key:
            return -1, -errno.EFAULT
    elif row.index >= 0 or not flags & _ACTIVE:
        return -1, -errno.ENOENT
    elif not _key_is_sound(row.key):
        return -1, -errno.EINVAL
    if flags & int(FlowFlag.VRFT) and not 0 <= row.dvrf < MAX_VRFS:
        return -1, -errno.EINVAL
    if flags & int(FlowFlag.MIRROR) and not (
        0 <= row.mir_id < MAX_MIRRORS or 0 <= row.sec_mir_id < MAX_MIRRORS
    ):
        return -1, -errno.EINVAL
    if not flags & _RFLOW_VALID:
        return -1, 0
    if row.rindex != -1:
        reverse = vr.flows.get(row.rindex)
    else:
        reverse = vr.flows.find(lookup_key(row.rflow)) if row.rflow is not None else None
    return (reverse.index, 0) if reverse is not None else (-1, -errno.EINVAL)


def _delete(vr: VRouter, row: Flow, entry: FlowEntry | None) -> FlowResponse:
    if entry is None:
        return FlowResponse(-errno.ENOENT, row.index)
    vr.flows.held -= entry.action is FlowAction.HOLD
    entry.action = FlowAction.DROP
    vr.flows.remove(entry)
    vr.release_held(entry)
    return FlowResponse(0, entry.index, entry.gen_id, FLOW_DELETED, entry.bytes, entry.packets)


def _force_evict(vr: VRouter, row: Flow) -> FlowResponse:
    """Only a TCP flow that is dead may be evicted on demand; its reverse flow is left alone."""
    entry = vr.flows.get(row.index)
    if entry is None or entry.key.proto != 6 or not entry.tcp_flags & int(TcpFlowFlag.DEAD):
        return FlowResponse(-errno.EINVAL, row.index)
    entry.rindex = -1
    entry.flags &= ~_RFLOW_VALID
    vr.flows.evict(entry)
    return FlowResponse(0, entry.index, entry.gen_id)


def _set_mirrors(vr: VRouter, row: Flow, entry: FlowEntry) -> None:
    entry.mir_id = entry.sec_mir_id = NO_MIRROR
    if int(row.flags) & int(FlowFlag.MIRROR):
        if row.mir_id in vr.store.mirrors:
            entry.mir_id = row.mir_id
        if row.sec_mir_id in vr.store.mirrors:
            entry.sec_mir_id = row.sec_mir_id


def _inherit_tcp_state(entry: FlowEntry, reverse: FlowEntry | None) -> None:
    """A flow added after its reverse has seen traffic takes over what the reverse already knows."""
    if reverse is None:
        return
    seen = TcpFlowFlag(reverse.tcp_flags)
    state = TcpFlowFlag(0)
    if seen & TcpFlowFlag.SYN:
        state |= TcpFlowFlag.SYN_R
    state |= seen & (TcpFlowFlag.RST | TcpFlowFlag.DEAD)
    if seen & TcpFlowFlag.FIN:
        state |= TcpFlowFlag.FIN_R
    if seen & TcpFlowFlag.ESTABLISHED:
        state |= TcpFlowFlag.ESTABLISHED | TcpFlowFlag.ESTABLISHED_R
    entry.tcp_flags |= int(state)
