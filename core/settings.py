"""Where things lie, and the limits. The one place that reads the environment.

A setting is an environment variable with the prefix `STUDIO_`; README.md lists them from the table below, and a test
compares the two.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from core.errors import SettingsError

PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """One consistent reading of the environment. Sizes are in the unit of their name, counts are plain."""

    home: Path = field(default=PROJECT, metadata={"help": "folder that holds `data/` and `models/`"})
    pretrained: Path | None = field(
        default=None, metadata={"help": "folder with backbone weights, tried before any download"}
    )
    import_root: Path | None = field(
        default=None, metadata={"help": "folder of the server from which the Dataset page may import"}
    )
    max_upload_mb: int = field(default=500, metadata={"help": "largest ZIP that the page takes"})
    max_entries: int = field(default=50_000, metadata={"help": "most entries in a ZIP or files in a folder"})
    max_unpacked_mb: int = field(default=20_000, metadata={"help": "largest sum of the unpacked sizes"})
    max_entry_mb: int = field(default=256, metadata={"help": "largest single file, unpacked"})
    max_ratio: int = field(default=1_000, metadata={"help": "largest unpacked ÷ packed size of an entry"})
    max_depth: int = field(default=20, metadata={"help": "deepest nesting of folders"})
    max_name_length: int = field(default=400, metadata={"help": "longest name of an entry, in characters"})
    max_pixels: int = field(default=50_000_000, metadata={"help": "largest picture, width × height"})
    max_frames: int = field(default=2_000, metadata={"help": "most frames of a multi-frame file"})
    max_decode_mb: int = field(
        default=1_024, metadata={"help": "most memory to decode one file, estimated from its header"}
    )
    max_decode_seconds: int = field(default=30, metadata={"help": "longest time to decode one file"})
    max_cache_mb: int = field(
        default=4_096, metadata={"help": "most disk for `cache/`: backbone features that runs share"}
    )
    slots: int = field(default=1, metadata={"help": "trainings that may run at a time; the others wait in order"})
    stop_grace: int = field(
        default=60, metadata={"help": "seconds in which a training must hear that it shall stop, before it is ended"}
    )
    auto_trials: int = field(
        default=1, metadata={"help": "1: a network's speed is measured when it is first needed; 0: only when asked"}
    )
    openvino: int = field(
        default=1, metadata={"help": "1: OpenVINO computes backbone features where it is installed; 0: never"}
    )
    threads: int = field(
        default=0, metadata={"help": "threads for training and prediction; 0 = as many as there are cores"}
    )

    @property
    def data(self) -> Path:
        """Folder of the data sets."""
        return self.home / "data"

    @property
    def models(self) -> Path:
        """Folder of the runs."""
        return self.home / "models"

    @property
    def cache(self) -> Path:
        """Folder of what can be made again."""
        return self.home / "cache"

    @property
    def n_threads(self) -> int:
        """Number of threads to use, at least 1."""
        return self.threads or usable_cores()


def usable_cores() -> int:
    """Cores this process may run on (a container or a cluster job may have fewer than the machine)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def read_settings() -> Settings:
    """Read the environment.

    Raises:
        SettingsError: a number is not a whole number of at least 0, or a path cannot be used.
    """
    values: dict[str, Any] = {}
    for entry in fields(Settings):
        name = variable_name(entry.name)
        text = os.environ.get(name, "").strip()
        if text:
            values[entry.name] = _number(name, text) if isinstance(entry.default, int) else _folder(name, text)
    return Settings(**values)


def read_limit(setting: str) -> int:
    """Read one number of the environment: for checks of every picture, where reading all settings costs more than they.

    Raises:
        SettingsError: it is not a whole number of at least 0.
    """
    name = variable_name(setting)
    text = os.environ.get(name, "").strip()
    return _number(name, text) if text else int(getattr(Settings, setting))


def variable_name(setting: str) -> str:
    """Environment variable of a setting: `max_pixels` -> `STUDIO_MAX_PIXELS`."""
    return f"STUDIO_{setting.upper()}"


def settings_environment() -> dict[str, str]:
    """This process's environment with absolute folders, for a process that starts in another folder."""
    settings = read_settings()
    folders = {entry.name: getattr(settings, entry.name) for entry in fields(Settings)}
    return os.environ | {variable_name(key): str(path) for key, path in folders.items() if isinstance(path, Path)}


def _folder(name: str, text: str) -> Path:
    try:
        return Path(text).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise SettingsError(f"{name} is not a usable folder ({error}). Received: {text!r}. Correct it.") from error


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise SettingsError(f"{name} must be a whole number of at least 0. Received: {text!r}. Correct or unset it.")
    return int(text)
