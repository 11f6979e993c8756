"""docs/bgp-interop.md: what the daemons' flags promise, and how the page shows what of it held in a run."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from interop.daemons import ROUTES, Router, Support
from interop.routers import ROUTERS

PROFILES = ("contrail", "rfc")

SESSION = "session"
FAMILY_COLUMNS = ("their route here", "their withdrawal", "our route there", "our withdrawal", "their End-of-RIB")
MD5_THEY, MD5_WE, MD5_REFUSED = "MD5, they connect", "MD5, we connect", "other MD5 key refused"
FOUR_OCTET_AS, HOLD_TIME = "4-octet AS", "hold time"
COLLISION_THEIRS, COLLISION_OURS = "collision, theirs stays", "collision, ours stays"
THEIR_RESTART, OUR_RESTART = "they restart gracefully", "we restart gracefully"
SESSION_COLUMNS = (
    MD5_THEY,
    MD5_WE,
    MD5_REFUSED,
    FOUR_OCTET_AS,
    HOLD_TIME,
    THEIR_RESTART,
    OUR_RESTART,
    COLLISION_THEIRS,
    COLLISION_OURS,
)

CLASSIC_END_OF_RIB = "profile contrail takes an empty UPDATE for nothing, as a control node does"

_FLAGS = {
    MD5_WE: "signs_when_listening",
    THEIR_RESTART: "restarts_gracefully",
    OUR_RESTART: "helps_to_restart",
    COLLISION_OURS: "takes_second_connection",
}

_HEAD = """# BGP with real routers

Written by `tools/interop_table.py` from what a run of `tests/interop` recorded; a test keeps it equal to the flags of
the daemons' classes (`tests/interop/*_daemon.py`). "yes" means that a test asked both ends and compared: every
attribute of a route (next hop, label or VNI, AS path, MED, LOCAL_PREF, communities, route targets, encapsulation) is
the same in our table and in the daemon's own view. "no" is what this version of the daemon cannot do, with the reason
below; a cell that names a profile holds in that profile only.

"""


@dataclass(frozen=True)
class Cell:
    """One thing that can hold: `row` is a family or SESSION, `profile` empty where a test uses one only."""

    peer: str
    row: str
    column: str
    profile: str = ""


def promise(router: type[Router], row: str, column: str, profile: str = "") -> str | None:
    """Why a cell cannot hold; None when a test shows that it does."""
    if row == SESSION:
        flag = _FLAGS.get(column)
        return router.cannot[flag] if flag is not None and not getattr(router, flag) else None
    support = router.supports[row]
    return support if isinstance(support, str) else _family_promise(support, row, column, profile)


def _family_promise(support: Support, family: str, column: str, profile: str) -> str | None:
    contrail_inet = family == "inet" and profile == "contrail"
    ours = support.ours or (support.mp_reach if contrail_inet else None)
    return {
        "their route here": support.theirs,
        "their withdrawal": support.theirs or support.their_withdrawal,
        "our route there": ours,
        "our withdrawal": ours or support.our_withdrawal,
        "their End-of-RIB": support.end_of_rib or (CLASSIC_END_OF_RIB if contrail_inet else None),
    }[column]


def cells(router: type[Router]) -> Iterator[Cell]:
    """Everything of a daemon that the page tells."""
    for family in ROUTES:
        for column in FAMILY_COLUMNS:
            for profile in PROFILES:
                yield Cell(router.name, family, column, profile)
    for column in SESSION_COLUMNS:
        yield Cell(router.name, SESSION, column)


def promised() -> set[Cell]:
    """All cells that a complete run finds to hold."""
    return {
        cell
        for router in ROUTERS
        for cell in cells(router)
        if promise(router, cell.row, cell.column, cell.profile) is None
    }


class _Notes:
    """Reasons, numbered in the order in which they come up."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def number(self, text: str) -> int:
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


def _shown(router: type[Router], row: str, column: str, held: Container[Cell], notes: _Notes) -> str:
    """`yes`, `no (1)`, `rfc; contrail: no (2)`, or `not run`."""
    profiles = ("",) if row == SESSION else PROFILES
    verdicts: dict[str, str] = {}
    for profile in profiles:
        reason = promise(router, row, column, profile)
        if reason is not None:
            verdicts[profile] = f"no ({notes.number(reason)})"
        else:
            verdicts[profile] = "yes" if Cell(router.name, row, column, profile) in held else "not run"
    if len(set(verdicts.values())) == 1:
        return verdicts[profiles[0]]
    return ", ".join(f"{profile}: {verdict}" for profile, verdict in verdicts.items())


def _lines(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(head)
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def render(held: Container[Cell]) -> str:
    """The page, with the cells that held."""
    notes = _Notes()
    families = [
        [router.name, family, *(_shown(router, family, column, held, notes) for column in FAMILY_COLUMNS)]
        for router in ROUTERS
        for family in router.spoken()
    ]
    sessions = [
        [router.name, router.version, *(_shown(router, SESSION, column, held, notes) for column in SESSION_COLUMNS)]
        for router in ROUTERS
    ]
    unknown = [
        f"- {router.name}, {family}: {support}\n"
        for router in ROUTERS
        for family, support in router.supports.items()
        if isinstance(support, str)
    ]
    numbered = "".join(f"{number}. {text}\n" for number, text in enumerate(notes.texts, 1))
    return (
        f"{_HEAD}## Families\n\niBGP, all families of a line in one session where the daemon allows that.\n\n"
        + _lines(("peer", "family", *FAMILY_COLUMNS), families)
        + "\n## Sessions\n\n"
        + _lines(("peer", "version", *SESSION_COLUMNS), sessions)
        + f"\n## Why not\n\n{numbered}\nFamilies that a daemon does not speak at all:\n\n{''.join(unknown)}"
    )
