"""What the writer refuses, with the status the REST API gives it (reference/config.md 3.5)."""


class WriterError(Exception):
    """A refusal; nothing was written. `status` is the HTTP status of the real API server."""

    status = 500


class BadRequest(WriterError):
    """The object or the call is wrong."""

    status = 400


class Forbidden(WriterError):
    """What only the system may set."""

    status = 403


class Unavailable(WriterError):
    """Too many announcements wait for the bus."""

    status = 500


class NotFound(WriterError):
    """No such object."""

    status = 404


class Conflict(WriterError):
    """Name, uuid, number or address is in use, or the object is still referred to."""

    status = 409
