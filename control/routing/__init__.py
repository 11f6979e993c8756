"""The routing core of a control node: tables, instances, replication and update groups. It knows no session."""

from .core import CoreSettings, RoutingCore
from .group_key import Encoder, GroupKey, Member
from .instance import MASTER_INSTANCE, InstanceSettings
from .members import Membership
from .path import Flag, Path
from .source import Source, SourceKind

__all__ = [
    "MASTER_INSTANCE",
    "CoreSettings",
    "Encoder",
    "Flag",
    "GroupKey",
    "InstanceSettings",
    "Member",
    "Membership",
    "Path",
    "RoutingCore",
    "Source",
    "SourceKind",
]
