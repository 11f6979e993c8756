"""What the API server does beside storing, by object type: the interface, and which type has which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contrail_emulator.config.layout import Link, StoredObject

from .draft import Draft

if TYPE_CHECKING:
    from .writer import Writer


class Hook:
    """Does nothing. A subclass overrides what its type needs; `before_*` may refuse by raising a WriterError."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer

    async def before_create(self, draft: Draft) -> None:
        """Complete the draft; take ids."""

    async def after_create(self, draft: Draft) -> None:
        """Make what belongs to the object."""

    def complete(self, stored: StoredObject | None, draft: Draft) -> None:
        """Fill in what is left out and follows from the rest; takes no ids. Nothing is `stored` before a creation."""

    async def before_update(self, stored: StoredObject, draft: Draft) -> None:
        """Complete or refuse a change."""

    async def before_unreference(self, stored: StoredObject, lost: Link) -> None:
        """Refuse the loss of one reference, which is one of those stored."""

    async def after_update(self, stored: StoredObject, draft: Draft) -> None:
        """Give back what the change let go of."""

    async def before_delete(self, stored: StoredObject) -> None:
        """Refuse a deletion."""

    async def after_delete(self, stored: StoredObject) -> None:
        """Take away what belongs to the object; give back ids."""
