"""The errors that a user can cause, or can mend.

    StudioError
    ├── SettingsError       an environment variable or a run setting has a value that cannot be used
    ├── ScanError           one file is not a picture that we can decode
    ├── ArchiveError        a ZIP is broken, unsafe or over a limit
    ├── DatasetError        a set of pictures cannot become a data set, or a data set is not there
    ├── RunError            a run is not there, or not in a state for what was asked
    │   └── LossError       the loss of a training became infinite or not a number
    ├── WeightsError        backbone weights are not to be had
    ├── TrialError          a dry run did not come to its end
    └── StorageError        the disk is full or may not be written

Every message says what is wrong, what was received and what to do. Anything else that is raised is a bug of ours
and is not caught.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class StudioError(Exception):
    """Base of every expected error; `str(error)` is fit to be shown to a user."""


class SettingsError(StudioError):
    """A setting cannot be used."""


class ScanError(StudioError):
    """A file is not a picture that we can decode."""


class ArchiveError(StudioError):
    """A ZIP is broken, unsafe or over a limit."""


class DatasetError(StudioError):
    """Pictures cannot become a data set, or a data set is missing or in use."""


class RunError(StudioError):
    """A run is missing, or not in a state for what was asked."""


class LossError(RunError):
    """The loss of a training became infinite or not a number."""


class WeightsError(StudioError):
    """Backbone weights are not to be had."""


class TrialError(StudioError):
    """A dry run did not come to its end."""


class StorageError(StudioError):
    """The disk is full, or a folder may not be written."""


_NOT_OURS = "The folder may not be written. Point STUDIO_HOME to one that you own, or change its rights."
_STORAGE_ERRORS = {
    errno.ENOSPC: "The disk is full. Free some space and try again; nothing that was there before is lost.",
    errno.EDQUOT: "The disk quota is used up. Free some space and try again; nothing that was there is lost.",
    errno.EROFS: "The disk is read-only. Point STUDIO_HOME to a folder that can be written.",
    errno.EACCES: _NOT_OURS,
    errno.EPERM: _NOT_OURS,
    errno.ENOTDIR: "There is a file where a folder should be. Point STUDIO_HOME to a folder.",
}


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn the operating system's word for a full or forbidden disk into a `StorageError`."""
    try:
        yield
    except OSError as error:
        if error.errno in _STORAGE_ERRORS:
            raise StorageError(f"{_STORAGE_ERRORS[error.errno]} (Received: {error})") from error
        raise
