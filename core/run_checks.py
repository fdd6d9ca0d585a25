"""What a run from another workspace must keep to before it may stand beside the others here.

Every page reads all runs, so one whose files hold something else than they should would break all of them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from core.config import BEFORE_THEY_WERE_SETTINGS, RunConfig, parse_config
from core.errors import ArchiveError, SettingsError
from core.files import read_json, write_json
from core.prediction import open_session
from core.run_notes import LONGEST_NAME, LONGEST_NOTE
from core.status import ALIVE, ENDED

_NUMBERS = ("epochs", "best_epoch", "parameters", "onnx_bytes", "keras_bytes", "prediction_ms", "training_seconds")
_TIMES = ("queued_at", "started_at", "ended_at", "updated")
_LATEST = 2.0**33  # seconds since the epoch: in the year 2242
_LARGEST = 2.0**63


def check_run(folder: Path) -> None:
    """Check the files of a run that is on its way in, and settle what only its own workspace could go on with.

    Raises:
        ArchiveError: names what cannot be read.
    """
    _check_settings(_read(folder, "config.json", "settings"))
    names = _read(folder, "labels.json", "labels").get("class_names")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise _damaged("labels")
    if (folder / "metrics.json").exists():
        _check_scores(_read(folder, "metrics.json", "scores"))
    if (folder / "model.onnx").exists():
        _check_model(folder / "model.onnx", len(names))
    _settle_status(folder)
    _settle_notes(folder)


def _check_settings(stored: dict[str, Any]) -> None:
    try:
        known = {name: value for name, value in stored.items() if name in RunConfig.model_fields}
        parse_config(BEFORE_THEY_WERE_SETTINGS | known)
    except SettingsError as error:
        raise ArchiveError(f"The settings of the run in the ZIP cannot be used. {error}") from error
    if not isinstance(stored.get("asked", {}), dict):
        raise _damaged("settings")


def _check_scores(metrics: dict[str, Any]) -> None:
    numbers: list[Any] = [metrics[name] for name in _NUMBERS if metrics.get(name) is not None]
    for split in ("validation", "test"):
        scores = metrics.get(split, {})
        if not isinstance(scores, dict):
            raise _damaged("scores")
        for value in scores.values():
            numbers += [
                number for number in (value if isinstance(value, list) else [value]) if not _is_undefined(number)
            ]
    if not all(_is_number(value, _LARGEST) for value in numbers):
        raise _damaged("scores")


def _check_model(path: Path, n_classes: int) -> None:
    try:
        shapes = {output.name: output.shape for output in open_session(path).get_outputs()}
        found = shapes["probabilities"][-1]
    except Exception as error:  # ONNX Runtime raises types of its own for a damaged file
        raise _damaged("model") from error
    if found != n_classes:
        raise ArchiveError(
            f"The model of the run in the ZIP tells {found} classes apart, and its labels name {n_classes}. "
            "Pack the run anew."
        )


def _settle_status(folder: Path) -> None:
    """Who was under way there is not under way here, nor waiting for its turn."""
    status = _read(folder, "status.json", "state")
    times = [status[name] for name in _TIMES if status.get(name) is not None]
    if status.get("state") not in (*ALIVE, *ENDED) or not all(_is_number(value, _LATEST) for value in times):
        raise _damaged("state")
    if status["state"] in ALIVE:
        line = "It was under way in another workspace when it was packed. Resume it where its data set is."
        # Not "queued", which would be offered to wait again. Its lock is free, so it reads as interrupted.
        write_json(folder / "status.json", status | {"state": "running", "error": line})


def _settle_notes(folder: Path) -> None:
    notes = read_json(folder / "notes.json") or {}
    name = " ".join(str(notes.get("name") or "").split())[:LONGEST_NAME]
    note = str(notes.get("note") or "")[:LONGEST_NOTE]
    write_json(folder / "notes.json", {"name": name, "note": note, "star": notes.get("star") is True})


def _read(folder: Path, name: str, what: str) -> dict[str, Any]:
    value = read_json(folder / name)
    if value is None:
        raise _damaged(what)
    return value


def _is_number(value: object, most: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most


def _is_undefined(value: object) -> bool:
    """None, or not a number: what a score of no pictures is."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _damaged(what: str) -> ArchiveError:
    verb = "is" if what in ("model", "state") else "are"
    return ArchiveError(f"The {what} of the run in the ZIP {verb} damaged. Pack the run anew.")
