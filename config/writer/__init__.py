"""Create, update and delete objects with everything the API server does beside storing."""

from .errors import BadRequest, Conflict, Forbidden, NotFound, Unavailable, WriterError
from .writer import Writer

__all__ = ["BadRequest", "Conflict", "Forbidden", "NotFound", "Unavailable", "Writer", "WriterError"]
