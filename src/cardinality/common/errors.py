"""The one exception that stands for a user's mistake, and any exception in a line."""


class UserError(ValueError):
    """A mistake that its maker can mend: printed as one line, exit status 2, no traceback.

    The message names the file and the key where there is one, what is wrong, and what is allowed.
    """


def one_line(error: BaseException) -> str:
    """An exception's kind and the first line of what it says; of a user's mistake the latter."""
    lines = str(error).strip().splitlines()
    text = " ".join(lines[0].split()) if lines else ""
    if isinstance(error, UserError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
