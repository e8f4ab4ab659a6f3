"""Files that are written whole or not at all."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write a file so that either the old or the new one is there, whole, also after a crash.

    The permissions of an old file are kept, and what a symbolic link points to is replaced, not the link. UTF-8; half a
    pair of surrogates, which has no UTF-8, is written as JSON escapes it.
    """
    data = text.encode("utf-8", "backslashreplace")
    target = Path(os.path.realpath(path))
    try:
        mode = target.stat().st_mode
    except OSError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        target.write_bytes(data)  # a pipe or a device
        return
    temporary = target.with_name(f".planish-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(stat.S_IMODE(mode))
        temporary.replace(target)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename is not None:
            # Nobody knows the temporary file.
            raise OSError(error.errno, error.strerror, os.fspath(path)) from None
        raise
    _keep_name(target.parent)


def _keep_name(folder: Path) -> None:
    """Have the new name of a file survive a crash too, where the system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
