"""Making the folder of a run: what must hold before it starts, and the settings that its worker decides.

`core.runs` reads what is made here; `core.control` starts it.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path

from core import jobs
from core.catalog import find_architecture
from core.config import RunConfig
from core.datasets import Dataset
from core.errors import RunError, SettingsError, storage_errors
from core.files import check_free_space, read_json, slug, write_json
from core.runs import Run, read_run
from core.settings import read_settings
from core.weights import require_imagenet_weights


def create_run(dataset: Dataset, config: RunConfig, name: str = "", repeat_of: str | None = None) -> Run:
    """Make the folder of a run and check that it can start at all.

    Args:
        repeat_of: the run whose settings these are, if it shall come out the same.

    Raises:
        StudioError: weights are missing, or the source run of `weights` is not there.
    """
    check_weights(config)
    models = read_settings().models
    with storage_errors():
        models.mkdir(parents=True, exist_ok=True)
    check_free_space(models, room_for(config))
    run_id = f"{slug(config.architecture, fallback='run')}-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:4]}"
    staging = models / f".new-{run_id}"
    with storage_errors():
        staging.mkdir(parents=True)
        write_json(staging / "config.json", config.model_dump() | {"continued": [], "repeat_of": repeat_of})
        title = name.strip() or f"{find_architecture(config.architecture).title} on {dataset.name}"
        write_json(staging / "notes.json", {"name": title, "note": "", "star": False})
        write_json(staging / "labels.json", {"class_names": dataset.class_names})
        jobs.write_queued(staging)
        staging.rename(models / run_id)
    return read_run(run_id)


def room_for(config: RunConfig) -> int:
    """Bytes that a run will need at least: three checkpoints with the optimizer's state, and its two models."""
    bytes_of_weights = int(find_architecture(config.architecture).parameters * 4e6)
    return bytes_of_weights * (3 * 3 + 2) + 2 * 2**20


def lent_model(run_id: str) -> Path:
    """The model of a run that lends its weights.

    Raises:
        RunError: the run, or its model, is not there.
    """
    path = read_run(run_id).folder / "model.keras"
    if not path.is_file():
        raise RunError(f"Run {run_id!r} has no model to lend its weights from. Choose a run that has finished.")
    return path


def freeze_config(run: Run, config: RunConfig) -> Run:
    """Write what a run's worker has decided when it began, such as the number format, into its settings.

    What was asked for stays beside it, for who takes over the settings.
    """
    before, now = run.config.model_dump(), config.model_dump()
    changed = {name: value for name, value in before.items() if now[name] != value}
    if changed:
        stored = read_json(run.folder / "config.json") or {}
        asked = changed | stored.get("asked", {})
        write_json(run.folder / "config.json", stored | now | {"asked": asked})
    return read_run(run.run_id)


def check_weights(config: RunConfig) -> None:
    """Check before the start that the weights of a run are to be had.

    Raises:
        StudioError: they are not; the message says what to do.
    """
    architecture = find_architecture(config.architecture)
    if config.weights == "random":
        return
    if config.weights == "imagenet":
        require_imagenet_weights(architecture)
    elif config.weights == "imagenet-download":
        if not architecture.has_backbone:
            raise SettingsError(f"{architecture.title} has no ImageNet weights to download. Choose random weights.")
    else:
        source = read_run(config.weights)
        if source.config.architecture != config.architecture or not (source.folder / "model.keras").exists():
            raise RunError(
                f"Run {source.run_id!r} cannot lend its weights: a {architecture.title} run that has kept a model is "
                f"needed. It is a {source.title} run in state {source.state!r}. Choose another."
            )
