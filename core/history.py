"""history.csv of a run folder: a row per epoch, append-only. A half-written last line is nobody's loss.

A resumed training makes it anew from its checkpoint, which knows all rows before it.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

from core.curves import Epoch
from core.errors import storage_errors
from core.files import write_text

FILE = "history.csv"
FIELDS = (
    "epoch",
    "phase",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "learning_rate",
    "seconds",
    "elapsed",
)


def read_history(folder: Path) -> list[Epoch]:
    """Rows of history.csv; a half-written last line is left out."""
    rows = []
    try:
        with (folder / FILE).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if (epoch := _epoch(row)) is not None:
                    rows.append(epoch)
    except (OSError, UnicodeDecodeError, csv.Error):
        return rows
    return rows


def append_epoch(folder: Path, row: Epoch) -> None:
    """Append one row to history.csv and make it durable; the header comes with the first row."""
    with storage_errors(), (folder / FILE).open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if file.tell() == 0:
            writer.writeheader()
        writer.writerow(row)
        file.flush()
        os.fsync(file.fileno())


def write_history(folder: Path, rows: list[Epoch]) -> None:
    """Replace history.csv at once."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    if rows:
        writer.writeheader()
        writer.writerows(rows)
    write_text(folder / FILE, text.getvalue())


def _epoch(row: dict[str, Any]) -> Epoch | None:
    try:
        numbers = {name: float(row[name]) for name in FIELDS if name not in ("epoch", "phase")}
        return {"epoch": int(row["epoch"]), "phase": row["phase"], **numbers}
    except (KeyError, TypeError, ValueError):
        return None
