"""The one exception that stands for a user's mistake."""


class UserError(ValueError):
    """A mistake that its maker can mend: printed as one line, exit status 2, no traceback.

    The message names the file and the key where there is one, what is wrong, and what is allowed.
    """
