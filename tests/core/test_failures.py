"""Failures: one line for a person, and a kind by which the page offers a remedy."""

from __future__ import annotations

import errno

import pytest

from core.errors import DatasetError, LossError, RunError, ScanError, StorageError, WeightsError
from core.failures import DATA, DISK, KILLED, LOSS, MEMORY, OTHER, WEIGHTS, classify


class ResourceExhaustedError(Exception):
    """As TensorFlow names it."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), MEMORY),
        (ResourceExhaustedError("OOM when allocating tensor with shape[512,224,224,32]\n\t [[node x]]"), MEMORY),
        (RuntimeError("std::bad_alloc"), MEMORY),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), MEMORY),
        (StorageError("The disk is full. Free some space."), DISK),
        (OSError(errno.ENOSPC, "No space left on device"), DISK),
        (OSError("Can't write data (file write failed, errno = 28, error message = 'No space left on device')"), DISK),
        (ScanError("'a.png' is not a readable picture."), DATA),
        (DatasetError("The manifest is damaged."), DATA),
        (LossError("The loss became infinite."), LOSS),
        (WeightsError("There are no weights."), WEIGHTS),
        (RunError("There is no room for another run in this name."), OTHER),
        (KeyboardInterrupt(), KILLED),
        (ValueError("first line\nsecond line"), OTHER),
        (ValueError(), OTHER),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_failure_has_a_kind_and_one_line(error: BaseException, kind: str) -> None:
    failure = classify(error)
    assert failure.kind == kind
    assert failure.line
    assert "\n" not in failure.line
    if kind == MEMORY:
        assert "batch size" in failure.line
