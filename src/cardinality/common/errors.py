"""The one exception that stands for a user's mistake, and any exception in a line."""

import errno

# What helps where the system's own words do not say it.
HELP = {
    errno.ENOSPC: "the disk is full; allowed: make room there, or another folder",
    errno.EDQUOT: "your quota on the disk is used up; allowed: make room there, or another folder",
    errno.EROFS: "is on a disk that can only be read; allowed: another folder, as --results",
    errno.EACCES: "you have no permission; allowed: another folder, or chmod",
    errno.EEXIST: "is there and is no folder; allowed: another name, or what is there moved away",
    errno.ENOTDIR: "is no folder, or lies in what is none; allowed: a path through folders alone",
    errno.ELOOP: "its links lead back to itself; allowed: a path that ends",
    errno.ENAMETOOLONG: "the name is longer than the system lets it be; allowed: a shorter one",
    errno.EMFILE: "too many files are open; allowed: a higher ulimit -n",
    errno.EFBIG: "the file would be larger than the system lets it be; allowed: a higher ulimit -f",
}


class UserError(ValueError):
    """A mistake that its maker can mend: printed as one line, exit status 2, no traceback.

    The message names the file and the key where there is one, what is wrong, and what is allowed.
    """


def one_line(error: BaseException) -> str:
    """An exception's kind and the first line of what it says; of a user's mistake the latter.

    What the system refuses is said with the file, and with what helps.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return of_system(error)
    lines = str(error).strip().splitlines()
    text = " ".join(lines[0].split()) if lines else ""
    if isinstance(error, UserError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def of_system(error: OSError) -> str:
    """What the system refuses: with the file if it names one, and with what helps if known."""
    what = HELP.get(error.errno or 0) or error.strerror or str(error) or type(error).__name__
    return what if error.filename is None else f"{error.filename}: {what}"
