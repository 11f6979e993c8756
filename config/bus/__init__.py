"""How a change is announced: one interface; in this process, across processes of one machine, and RabbitMQ."""

from .interface import Bus, Subscription
from .local import LocalBus
from .message import Message, MessageError
from .sqlite import SqliteBus

__all__ = ["Bus", "LocalBus", "Message", "MessageError", "SqliteBus", "Subscription"]
