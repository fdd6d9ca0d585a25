"""What the page offers for a run in each of its states."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core import jobs
from core.control import delete_run
from core.files import read_json, write_json
from core.history import append_epoch
from core.queue import enqueue, list_waiting
from core.run_archives import write_run
from core.run_notes import write_run_notes
from core.runs import Run, list_runs, read_run
from core.timeline import note_event
from tests.conftest import epoch_row
from tests.core.test_control import add_checkpoint
from tests.pages.test_pages import open_page, words

MakeRun = Callable[..., Run]


@pytest.fixture(autouse=True)
def launched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Modules that would have been started."""
    calls: list[str] = []
    monkeypatch.setattr("core.control.launch", lambda module, folder, *_: calls.append(module))
    return calls


def offered(run: Run) -> set[str]:
    """Keys of the buttons on a run's page."""
    app = open_page("pages/2_Train.py", "live", run=run.run_id)
    assert not app.exception
    return {button.key for button in app.button if button.key}


@pytest.mark.parametrize(
    ("state", "kind", "learned", "expected", "missing"),
    [
        ("paused", None, 2, {"resume_run", "finish_run"}, {"stop_training", "continue_run"}),
        ("paused", None, 0, {"resume_run"}, {"finish_run"}),
        ("failed", "disk", 1, {"resume_run", "finish_run"}, {"smaller_batch"}),
        ("failed", "memory", 0, {"resume_run", "smaller_batch"}, {"finish_run"}),
        ("interrupted", "memory", 1, {"resume_run", "smaller_batch", "finish_run"}, set()),
        ("interrupted", "killed", 1, {"resume_run", "finish_run"}, {"smaller_batch"}),
        ("failed", "loss", 1, {"train_again"}, {"resume_run", "finish_run"}),
        ("finished", None, 3, {"continue_run", "repeat_run"}, {"resume_run", "finish_run"}),
        ("stopped", None, 1, {"resume_run"}, {"continue_run"}),
        ("stopped", None, 3, {"train_again"}, {"resume_run"}),
    ],
)
def test_a_run_offers_what_its_state_allows(
    make_run: MakeRun, state: str, kind: str | None, learned: int, expected: set[str], missing: set[str]
) -> None:
    run = make_run(state, kind=kind, error="Why." if kind else None)
    for epoch in range(1, learned + 1):
        append_epoch(run.folder, epoch_row(epoch))
    add_checkpoint(run)
    keys = offered(run)
    assert expected <= keys
    assert not missing & keys


def test_a_running_run_is_paused_and_discarded_from_its_page(running_run: Run, launched: list[str]) -> None:
    app = open_page("pages/2_Train.py", "live", run=running_run.run_id)
    app.button(key="pause_run").click().run()
    assert jobs.how_to_stop(running_run.folder) == jobs.PAUSE
    assert "can be resumed later" in words(app)
    (running_run.folder / "stop").unlink()
    app = open_page("pages/2_Train.py", "live", run=running_run.run_id)
    app.button(key="discard_run").click().run()
    assert jobs.how_to_stop(running_run.folder) == jobs.DISCARD
    assert app.query_params["view"] == "history"
    assert launched == ["core.watching"] * 2


def test_a_paused_run_is_resumed_and_a_finished_one_continued(make_run: MakeRun, launched: list[str]) -> None:
    paused, finished = make_run("paused"), make_run("finished")
    for epoch in (1, 2, 3):
        append_epoch(finished.folder, epoch_row(epoch))
    add_checkpoint(finished)
    open_page("pages/2_Train.py", "live", run=paused.run_id).button(key="resume_run").click().run()
    assert read_run(paused.run_id).state == "queued"
    app = open_page("pages/2_Train.py", "live", run=finished.run_id)
    app.number_input(key="more_epochs").set_value(4).run()
    app.button(key="continue_run").click().run()
    assert not app.exception
    assert read_run(finished.run_id).n_epochs == 7
    assert launched == ["core.ml.train"] * 2


def test_for_want_of_memory_the_form_is_filled_with_a_smaller_batch(make_run: MakeRun) -> None:
    run = make_run("failed", kind="memory", error="There was not enough memory.")
    app = open_page("pages/2_Train.py", "live", run=run.run_id)
    app.button(key="smaller_batch").click().run()
    assert app.number_input(key="setting_tiny_custom_cnn_batch_size").value == run.config.batch_size // 2


def test_the_queue_is_reordered_and_cancelled_in_the_history(make_run: MakeRun) -> None:
    runs = [make_run(), make_run(), make_run()]
    for run in runs:
        enqueue(run.folder)
    app = open_page("pages/2_Train.py", "history")
    assert app.button(key=f"earlier_{runs[0].run_id}").disabled
    assert app.button(key=f"later_{runs[2].run_id}").disabled
    app.button(key=f"earlier_{runs[2].run_id}").click().run()
    waiting = list_waiting(runs[0].folder.parent)
    assert waiting == [runs[0].folder, runs[2].folder, runs[1].folder]
    app.button(key=f"cancel_{runs[1].run_id}").click().run()
    assert (runs[1].folder / "stop").exists()


@pytest.mark.parametrize("page", ["Home.py", "pages/2_Train.py"])
def test_runs_that_waited_when_the_machine_went_down_are_offered(
    make_run: MakeRun, launched: list[str], page: str
) -> None:
    make_run("queued", pid=1)
    app = open_page(page)
    assert "waiting for its turn when the machine went down" in words(app)
    app.button(key="requeue").click().run()
    assert launched == ["core.ml.train"]
    assert list_runs()[0].state == "queued"
    assert "when the machine went down" not in words(app)


def test_the_timeline_is_on_the_page(make_run: MakeRun) -> None:
    run = make_run("paused")
    for kind in ("queued", "started", "paused"):
        note_event(run.folder, kind, "a word")
    app = open_page("pages/2_Train.py", "live", run=run.run_id)
    shown = next(table.value for table in app.dataframe if "What" in table.value)
    assert list(shown["What"]) == ["Queued", "Started", "Paused"]


def test_the_history_is_filtered(make_run: MakeRun) -> None:
    runs = [make_run(state) for state in ("finished", "failed", "paused", "finished", "stopped")]
    write_run_notes(runs[0], name="Alpha", note="with more dropout", star=True)
    write_run_notes(runs[1], name="Beta")

    def shown(app: AppTest) -> list[str]:
        tables = [table.value for table in app.dataframe if "Run" in table.value]
        return sorted(tables[0]["Id"]) if tables else []

    app = open_page("pages/2_Train.py", "history")
    assert shown(app) == sorted(run.run_id for run in runs)
    app.text_input(key="history_filter").set_value("DROPOUT alpha").run()
    assert shown(app) == [runs[0].run_id]
    app.text_input(key="history_filter").set_value("").run()
    app.toggle(key="history_starred").set_value(True).run()
    assert shown(app) == [runs[0].run_id]
    app.text_input(key="history_filter").set_value("beta").run()
    assert shown(app) == []
    assert "No run fits the filters" in words(app)
    app.toggle(key="history_starred").set_value(False).run()
    assert shown(app) == [runs[1].run_id]


def open_history(*chosen: Run) -> AppTest:
    """The history with rows selected, as a click on them would."""
    app = open_page("pages/2_Train.py", "history")
    ids = list(next(table.value for table in app.dataframe if "Run" in table.value)["Id"])
    key = f"runs_{zlib.crc32(''.join(ids).encode())}"
    app.session_state[key] = {"selection": {"rows": [ids.index(run.run_id) for run in chosen], "columns": []}}
    app.run()
    assert not app.exception
    return app


def test_a_selected_run_is_starred_and_its_name_and_note_are_asked_for(make_run: MakeRun) -> None:
    run = make_run("finished")
    app = open_history(run)
    app.button(key="star_runs").click().run()
    assert read_run(run.run_id).star
    app = open_history(run)
    app.button(key="edit_run").click().run()
    assert app.text_input(key=f"name_{run.run_id}").value == run.name
    assert app.text_area(key=f"note_{run.run_id}").value == ""
    assert "save_run_notes" in {button.key for button in app.button}


def test_before_runs_are_deleted_it_is_said_what_that_frees_and_who_began_with_them(
    make_run: MakeRun,
) -> None:
    runs = [make_run("finished"), make_run("failed"), make_run("finished")]
    stored = read_json(runs[2].folder / "config.json") or {}
    write_json(runs[2].folder / "config.json", stored | {"weights": runs[0].run_id})
    app = open_history(*runs[:2])
    app.button(key="delete_runs").click().run()
    assert "which frees" in words(app)
    assert "1 other run began with these weights" in words(app)
    assert all(run.name in words(app) for run in runs[:2])
    assert len(list_runs()) == 3


def test_the_settings_of_a_selected_run_go_into_the_form(make_run: MakeRun) -> None:
    run = make_run("finished")
    app = open_history(run)
    app.button(key="clone_run").click().run()
    assert not app.exception
    assert app.radio(key="architecture").value == run.config.architecture


def test_a_run_too_large_for_a_browser_says_how_to_pack_it(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run("finished")
    monkeypatch.setattr("core.ui.run_actions._LARGEST_DOWNLOAD", 10)
    (button,) = open_history(run).get("download_button")
    assert button.proto.disabled
    assert f"pack {run.run_id}" in button.proto.help


def test_storage_is_measured_when_it_is_opened_and_cleaned_when_asked(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run("finished")
    add_checkpoint(run)
    monkeypatch.setattr(Run, "has_scores", property(lambda run: True))
    app = open_page("pages/2_Train.py", "history")
    assert not app.metric
    app.session_state["storage"] = True
    app.run()
    assert {metric.label for metric in app.metric} >= {"Data sets", "Runs", "Checkpoints", "Cache", "Free"}
    assert app.button(key="clean_up").disabled
    app.checkbox(key="clean_checkpoints").check().run()
    app.button(key="clean_up").click().run()
    assert "freed" in words(app)
    assert not (run.folder / "checkpoints").exists()


@pytest.mark.training
def test_a_run_comes_in_from_another_workspace_by_its_zip(finished_run: Run, tmp_path: Path) -> None:
    write_run(finished_run, tmp_path / "run.zip")
    delete_run(finished_run.run_id)
    app = open_page("pages/2_Train.py", "history")
    app.button(key="import_run").click().run()
    assert "Choose a ZIP first" in words(app)
    data = (tmp_path / "run.zip").read_bytes()
    app.file_uploader(key="run_zip").set_value(("run.zip", data, "application/zip"))
    app.button(key="import_run").click().run()
    assert not app.exception
    assert app.query_params["run"] == finished_run.run_id
    assert read_run(finished_run.run_id).has_scores
    app = open_page("pages/2_Train.py", "history")
    app.file_uploader(key="run_zip").set_value(("bad.zip", b"x", "application/zip"))
    app.button(key="import_run").click().run()
    assert "not a ZIP" in words(app)
