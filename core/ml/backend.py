"""How Keras and TensorFlow come into a process: in half the time, without packages that they could use but do not need.

Keras looks whether pandas, scikit-learn and others are there and imports what it finds, for data frames and wrappers
that nothing here uses. That costs seconds at the start of every training.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from threading import get_ident
from types import ModuleType

# What `python -X importtime -c "import keras"` shows and Keras wraps in `try`: each alone, or by way of another.
OPTIONAL = frozenset({"IPython", "jax", "matplotlib", "pandas", "pydot", "pyarrow", "scipy", "sklearn", "torch"})


class _Hiding(MetaPathFinder):
    """Finds nothing, and says so, where one thread asks for a hidden package. Other threads import as ever."""

    def __init__(self, packages: frozenset[str]) -> None:
        self._packages, self._thread = packages, get_ident()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Refuse a hidden package; leave the others to the finders behind."""
        if get_ident() == self._thread and fullname.partition(".")[0] in self._packages:
            raise ModuleNotFoundError(f"{fullname} is hidden while Keras is imported", name=fullname)
        return None


def import_keras() -> ModuleType:
    """Import Keras with TensorFlow behind it. Only the first import in a process can be made faster.

    What is hidden meanwhile can be imported before, afterwards, and by other threads at any time.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with _hidden(OPTIONAL), _no_collections():
        return import_module("keras")


@contextmanager
def _no_collections() -> Iterator[None]:
    """Modules make a million objects and no garbage: looking for it takes a tenth of the import."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _hidden(packages: frozenset[str]) -> Iterator[None]:
    finder = _Hiding(packages)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
