"""Fixtures, named by state. Every test has a workspace of its own; the user's is never touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import jobs
from core.config import make_config
from core.datasets import Dataset, read_dataset
from core.importing import create_import, run_import
from core.runs import Run, read_run
from core.samples import CLASSES, draw_phantom
from core.settings import PROJECT

TEST_DATA = Path(os.environ["STUDIO_TEST_DATA"]).resolve() if os.environ.get("STUDIO_TEST_DATA") else None


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace."""
    for name in list(os.environ):
        if name.startswith("STUDIO_") and name not in ("STUDIO_TEST_DATA", "STUDIO_CHROMIUM"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("STUDIO_HOME", str(home))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("STUDIO_OPENVINO", "0")  # as most people have it
    monkeypatch.setenv("STUDIO_AUTO_TRIALS", "0")  # a dry run beside every test of a form would take the processor
    return home


@pytest.fixture
def tiny_dataset(workspace: Path) -> Dataset:
    """Eight phantoms of each of four classes, in three splits."""
    return run_import(create_import(name="Tiny", images_per_class=8))


@pytest.fixture
def make_zip(tmp_path: Path) -> Callable[..., Path]:
    """Writes a ZIP of given members (name -> bytes, or None for a small picture)."""

    def write(members: dict[str, bytes | None], name: str = "scans.zip") -> Path:
        path = tmp_path / name
        with zipfile.ZipFile(path, "w") as archive:
            for number, (member, data) in enumerate(members.items()):
                archive.writestr(member, picture_bytes(number) if data is None else data)
        return path

    return write


@pytest.fixture(scope="session")
def _trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which a real worker has trained two small runs; copied for each test that uses it."""
    home = tmp_path_factory.mktemp("trained")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STUDIO_")}
    environment |= {
        "STUDIO_HOME": str(home),
        "KERAS_HOME": str(home / "keras"),
        "STUDIO_AUTO_TRIALS": "0",
        "STUDIO_OPENVINO": "0",
    }

    def core(*arguments: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "core", *arguments], cwd=PROJECT, env=environment, check=True, capture_output=True
        )

    core("sample", "--name", "Tiny", "--images-per-class", "8")
    for name, epochs in (("First", "2"), ("Second", "1")):
        core("train", "tiny", "--architecture", "custom_cnn", "--epochs", epochs, "--name", name, "--wait")
    return home


@pytest.fixture
def finished_runs(_trained_home: Path, workspace: Path) -> list[Run]:
    """Two finished runs of a custom CNN on the tiny data set, "First" before "Second"."""
    shutil.copytree(_trained_home, workspace, dirs_exist_ok=True)
    folders = [path.parent for path in (workspace / "models").glob("*/config.json")]
    return sorted((read_run(folder.name) for folder in folders), key=lambda run: run.name)


@pytest.fixture
def finished_run(finished_runs: list[Run]) -> Run:
    """A finished run of two epochs."""
    return finished_runs[0]


@pytest.fixture(scope="session")
def _real_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace into which the real set was imported, once for all tests."""
    if TEST_DATA is None:
        pytest.skip("STUDIO_TEST_DATA is not set")
    home = tmp_path_factory.mktemp("real")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STUDIO_")}
    command = [sys.executable, "-m", "core", "import", str(TEST_DATA / "data" / "brain-mri-2443.zip"), "--name", "Real"]
    subprocess.run(command, cwd=PROJECT, env=environment | {"STUDIO_HOME": str(home)}, check=True, capture_output=True)
    return home


@pytest.fixture
def real_dataset(_real_home: Path, workspace: Path) -> Dataset:
    """The real set, imported; it must not be changed, because its files are shared with other tests."""
    shutil.copytree(_real_home, workspace, dirs_exist_ok=True, copy_function=os.link)
    return read_dataset("real")


@pytest.fixture
def make_run(tiny_dataset: Dataset) -> Callable[..., Run]:
    """Makes the folder of a run without a worker, in a given state."""
    from core.run_making import create_run

    def make(state: str = "queued", **fields: object) -> Run:
        run = create_run(tiny_dataset, make_config(tiny_dataset, "custom_cnn", {"epochs": 3}))
        jobs.Job(run.folder).update(state=state, **fields)
        return read_run(run.run_id)

    return make


@pytest.fixture
def running_run(make_run: Callable[..., Run]) -> Iterator[Run]:
    """A run in its second epoch whose lock is held (by this process, in the worker's place)."""
    from core.history import append_epoch

    run = make_run()
    with jobs.hold(run.folder) as job:
        append_epoch(run.folder, epoch_row(1))
        job.update(
            state="running",
            started_at=run.status.queued_at,
            message="Training",
            progress={
                "phase": "training",
                "epoch": 2,
                "epochs": 3,
                "batch": 1,
                "batches": 4,
                "images_per_second": 20.0,
                "seconds_left": 12.0,
                "only_this_phase": False,
            },
        )
        yield read_run(run.run_id)


@pytest.fixture
def failed_run(make_run: Callable[..., Run]) -> Run:
    """A run that failed with a clear line."""
    return make_run("failed", error="The disk is full.")


@pytest.fixture
def test_data() -> Path:
    """The folder with the real set, the weights and the fixtures; the test is skipped without it."""
    if TEST_DATA is None:
        pytest.skip("STUDIO_TEST_DATA is not set")
    return TEST_DATA


def epoch_row(epoch: int, **changes: object) -> dict[str, object]:
    """A row of history.csv."""
    row: dict[str, object] = {
        "epoch": epoch,
        "phase": "training",
        "loss": 1.0 / epoch,
        "accuracy": 0.5,
        "val_loss": 1.1 / epoch,
        "val_accuracy": 0.5,
        "learning_rate": 0.001,
        "seconds": 2.0,
        "elapsed": 2.0 * epoch,
    }
    return row | changes


def picture_bytes(seed: int, format_: str = "PNG") -> bytes:
    """A small phantom as the bytes of a file."""
    import io

    buffer = io.BytesIO()
    phantom = draw_phantom(seed % len(CLASSES), (7, seed))
    Image.fromarray(phantom).resize((64, 64)).save(buffer, format_)
    return buffer.getvalue()


def grey_ramp(height: int = 40, width: int = 60) -> np.ndarray:
    """A uint8 picture that reaches from 0 to 255."""
    return np.linspace(0, 255, height * width).reshape(height, width).astype(np.uint8)
