"""Curves for TensorBoard and for a real MLflow server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from core.config import make_config
from core.control import resume_run, start_run
from core.datasets import Dataset
from core.history import read_history
from core.runs import read_log
from core.settings import PROJECT
from tests.ml.test_resuming import wait_for_end
from tests.ml.test_training import run_to_end

pytestmark = pytest.mark.training
TINY: dict[str, object] = {"epochs": 2, "image_size": 32, "dense_units": 8}
READ_TENSORBOARD = """
import glob, json, sys
import tensorflow as tf
found = []
for path in sorted(glob.glob(sys.argv[1] + "/*")):
    for record in tf.data.TFRecordDataset(path):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            found.append([value.tag, event.step, float(tf.make_ndarray(value.tensor))])
print(json.dumps(found))
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_tensorboards_log_holds_the_curves_also_of_a_continued_run(tiny_dataset: Dataset) -> None:
    run = run_to_end(tiny_dataset, "custom_cnn", **TINY, tensorboard=True)
    resume_run(run.run_id, epochs=3)
    run = wait_for_end(run)
    assert run.state == "finished", read_log(run)
    command = [sys.executable, "-c", READ_TENSORBOARD, str(run.folder / "tensorboard")]
    found = json.loads(subprocess.run(command, cwd=PROJECT, capture_output=True, check=True, text=True).stdout)
    for name in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
        expected = [(row["epoch"], row[name]) for row in read_history(run.folder)]
        assert [(step, pytest.approx(value, rel=1e-5)) for tag, step, value in found if tag == name] == expected


@pytest.fixture
def mlflow_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a real MLflow server of our own."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", url.rpartition(":")[2],
        "--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db",
        "--artifacts-destination", str(tmp_path / "artifacts"),
        "--workers", "1",
    ]  # fmt: skip
    with (tmp_path / "mlflow.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
    end = time.time() + 120
    while True:
        with suppress(OSError):
            urllib.request.urlopen(f"{url}/health", timeout=2).read()
            break
        assert process.poll() is None, (tmp_path / "mlflow.log").read_text()
        assert time.time() < end, (tmp_path / "mlflow.log").read_text()
        time.sleep(0.2)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    yield url
    with suppress(ProcessLookupError):
        os.killpg(process.pid, 15)
    process.wait(30)


def ask(url: str, path: str, **body: object) -> dict[str, object]:
    """Ask a server's own interface."""
    request = urllib.request.Request(
        f"{url}/api/2.0/mlflow/{path}",
        data=json.dumps(body).encode() if body else None,
        headers={"Content-Type": "application/json"},
    )
    return json.loads(urllib.request.urlopen(request, timeout=10).read())  # type: ignore[no-any-return]


def test_a_run_is_tracked_on_a_real_server_and_goes_on_there(tiny_dataset: Dataset, mlflow_server: str) -> None:
    run = run_to_end(tiny_dataset, "custom_cnn", **TINY)
    assert run.state == "finished", read_log(run)
    there = json.loads((run.folder / "mlflow.json").read_text())["run_id"]
    resume_run(run.run_id, epochs=3)
    run = wait_for_end(run)
    assert json.loads((run.folder / "mlflow.json").read_text())["run_id"] == there
    tracked = ask(mlflow_server, f"runs/get?run_id={there}")["run"]
    assert tracked["info"]["status"] == "FINISHED"  # type: ignore[index]
    parameters = {entry["key"]: entry["value"] for entry in tracked["data"]["params"]}  # type: ignore[index]
    assert {name: parameters[name] for name in ("image_size", "seed")} == {"image_size": "32", "seed": "42"}
    tags = {entry["key"]: entry["value"] for entry in tracked["data"]["tags"]}  # type: ignore[index]
    assert tags["studio.dataset_fingerprint"] == tiny_dataset.fingerprint
    metrics = {entry["key"]: entry["value"] for entry in tracked["data"]["metrics"]}  # type: ignore[index]
    assert metrics["test_accuracy"] == pytest.approx(run.score("test"))
    curve = ask(mlflow_server, f"metrics/get-history?run_id={there}&metric_key=val_loss")["metrics"]
    expected = [(row["epoch"], pytest.approx(row["val_loss"], rel=1e-5)) for row in read_history(run.folder)]
    assert [(int(entry["step"]), entry["value"]) for entry in curve] == expected  # type: ignore[attr-defined]
    files = ask(mlflow_server, f"artifacts/list?run_id={there}")["files"]
    assert {entry["path"] for entry in files} == {"model.onnx", "model.keras"}  # type: ignore[attr-defined]


def test_a_run_ends_on_the_server_also_where_its_models_cannot_be_stored(
    tiny_dataset: Dataset, mlflow_server: str, tmp_path: Path
) -> None:
    with suppress(FileNotFoundError):
        (tmp_path / "artifacts").rmdir()
    (tmp_path / "artifacts").write_text("a file where the folder of artifacts should be")
    run = run_to_end(tiny_dataset, "custom_cnn", **TINY)
    assert run.state == "finished", read_log(run)
    there = json.loads((run.folder / "mlflow.json").read_text())["run_id"]
    tracked = ask(mlflow_server, f"runs/get?run_id={there}")["run"]
    assert tracked["info"]["status"] == "FINISHED"  # type: ignore[index]
    assert read_log(run, 200).count("MLflow is left alone") == 1


def test_a_server_that_is_not_there_harms_nobody(tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    run = start_run(tiny_dataset, make_config(tiny_dataset, "custom_cnn", TINY))
    ended = wait_for_end(run)
    assert ended.state == "finished", read_log(ended)
    assert read_log(ended, 200).count("MLflow is left alone") == 1
