"""What went wrong in a lab, told in one line."""


class LabError(Exception):
    """A fault the user can mend; `str()` is one line.

    Of a lab file (with file and line), of the machine (a port in use, an absent router) or of a run.
    """
