"""Every page, with nothing there, with a data set, with a running, a finished and a failed run."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from streamlit import cache_resource, config
from streamlit.testing.v1 import AppTest

from core import jobs
from core.auditing import audit_folder, read_audit, run_audit
from core.curves import Epoch
from core.datasets import Dataset, list_datasets, read_manifest
from core.drafts import read_draft
from core.history import FIELDS
from core.importing import create_import, create_version, list_imports, run_import
from core.runs import Run, dataset_of, list_runs
from core.samples import draw_phantom
from core.settings import PROJECT
from core.ui import charts
from core.versions import new_split
from tests.conftest import epoch_row, picture_bytes
from tests.core.test_audit import encode, scans
from tests.core.test_importing import THREE_SPLITS, wait_for

ALL = {
    "Home.py": [""],
    "pages/1_Dataset.py": ["", "explore", "audit", "versions", "nonsense"],
    "pages/2_Train.py": ["", "live", "history"],
    "pages/3_Evaluate.py": [""],
    "pages/4_Compare.py": [""],
    "pages/5_Predict.py": [""],
}
VIEWS = [(page, view) for page, views in ALL.items() for view in views]


def open_page(page: str, view: str = "", **parameters: str) -> AppTest:
    """Open a page as a deep link would; no exception may be on it."""
    app = AppTest.from_file(str(PROJECT / "Home.py"), default_timeout=60)
    app.run()
    for key, value in ({"view": view} if view else {}).items() | parameters.items():
        app.query_params[key] = value
    if page != "Home.py":
        app.switch_page(page)
    app.run()
    assert not app.exception, app.exception
    return app


def words(app: AppTest) -> str:
    """All texts of a page."""
    elements = [
        *app.markdown,
        *app.caption,
        *app.text,
        *app.title,
        *app.subheader,
        *app.info,
        *app.success,
        *app.warning,
        *app.error,
    ]
    return "\n".join(str(element.value) for element in elements)


@pytest.mark.parametrize(("page", "view"), VIEWS)
def test_every_page_opens_with_nothing_there_and_says_what_to_do(page: str, view: str, workspace: Path) -> None:
    app = open_page(page, view)
    assert not app.error
    hints = ("synthetic sample", "Import", "Train one", "Bring one in", "data set first", "start one", "Train another")
    assert any(hint in words(app) for hint in hints), words(app)
    assert [path.name for path in workspace.iterdir()] == [], "looking changes nothing"


@pytest.fixture
def leaking(make_zip: Callable[..., Path]) -> Dataset:
    """An audited data set with one leak."""
    members = scans(8) | {"Test/Glioma/again.jpg": encode(draw_phantom(0, (23, 0, 0))[::-1], "JPEG")}
    dataset = run_import(create_import(path=make_zip(members), name="Leaking"))
    run_audit(dataset)
    return dataset


def test_a_run_of_a_page_does_not_hold_up_the_others_with_a_full_garbage_collection() -> None:
    # AppTest does not collect; the option is hidden, and asking for one that is gone raises.
    assert config.get_option("runner.postScriptGC") is False


def test_all_who_look_at_a_run_share_its_curves_until_the_next_epoch(
    finished_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache_resource.clear()
    drawn: list[int] = []
    draw = charts.plot_curves

    def note(history: Sequence[Epoch], metric: str, best: int | None) -> object:
        drawn.append(len(history))
        return draw(history, metric, best)

    monkeypatch.setattr(charts, "plot_curves", note)
    for _ in range(2):
        open_page("pages/2_Train.py", "live", run=finished_run.run_id)
    assert drawn == [2, 2]  # accuracy and loss
    with (finished_run.folder / "history.csv").open("a", encoding="utf-8") as file:
        csv.DictWriter(file, FIELDS).writerow(epoch_row(3))
    open_page("pages/2_Train.py", "live", run=finished_run.run_id)
    assert drawn == [2, 2, 3, 3]


def test_an_audit_can_be_started_and_says_what_it_found(leaking: Dataset) -> None:
    shutil.rmtree(audit_folder(leaking))
    app = open_page("pages/1_Dataset.py", "audit")
    assert "not audited yet" in words(app)
    app.button(key="start_audit").click().run()
    wait_for(lambda: read_audit(leaking) is not None)
    app.run()
    assert not app.exception
    assert "1 of 17 test scans (5.9%)" in words(app)
    assert {metric.label: metric.value for metric in app.metric}["Leaks in test"] == "1"


def test_home_sends_to_the_audit_of_leaking_data(leaking: Dataset) -> None:
    assert "Leaking has scans on both sides of its split" in words(open_page("Home.py"))


def test_a_leaking_split_is_mended_with_one_click(leaking: Dataset) -> None:
    app = open_page("pages/1_Dataset.py", "audit")
    app.button(key="repair_split").click().run()
    wait_for(lambda: len(list_datasets()) == 2)
    version = list_datasets()[0]
    wait_for(lambda: read_audit(version) is not None)
    assert version.parent == leaking.dataset_id
    app = open_page("pages/1_Dataset.py", "audit", dataset=version.dataset_id)
    assert "No leak" in words(app)
    assert "Against Leaking" in words(open_page("pages/1_Dataset.py", "versions", dataset=version.dataset_id))


def test_scans_are_marked_in_the_gallery_and_saved_as_a_version(leaking: Dataset) -> None:
    stored = [picture.stored for picture in read_manifest(leaking)[:2]]
    app = open_page("pages/1_Dataset.py", "explore")
    for name in stored:
        app.checkbox(key=f"gallery_leaking_chosen_{name}").check().run()
    app.button(key="gallery_leaking_exclude").click().run()
    assert not app.exception
    assert "2 scans marked" in words(app)
    assert not app.checkbox(key=f"gallery_leaking_chosen_{stored[0]}").value
    app.checkbox(key=f"gallery_leaking_chosen_{stored[0]}").check().run()
    app.button(key="gallery_leaking_restore").click().run()
    assert "1 scan marked" in words(app)
    app.text_input(key="draft_name").set_value("Without one")
    app.button(key="save_version").click().run()
    wait_for(lambda: len(list_datasets()) == 2)
    assert (list_datasets()[0].name, list_datasets()[0].n_images) == ("Without one", leaking.n_images - 1)


def test_ticks_do_not_go_over_to_another_data_set(leaking: Dataset, make_zip: Callable[..., Path]) -> None:
    other = run_import(create_import(path=make_zip(scans(8), "other.zip")))
    stored = read_manifest(leaking)[0].stored
    app = open_page("pages/1_Dataset.py", "explore", dataset=leaking.dataset_id)
    app.checkbox(key=f"gallery_leaking_chosen_{stored}").check().run()
    app.selectbox(key="dataset").set_value(other.dataset_id).run()
    assert not any(box.value for box in app.checkbox)


def test_a_missing_thumbnail_is_told_in_its_place(leaking: Dataset) -> None:
    picture = read_manifest(leaking)[0]
    (leaking.folder / picture.thumbnail).unlink()
    assert "is missing" in words(open_page("pages/1_Dataset.py", "explore"))


def test_a_pair_of_twins_can_be_mended(leaking: Dataset) -> None:
    app = open_page("pages/1_Dataset.py", "audit")
    second = next(picture.stored for picture in read_manifest(leaking) if picture.file.endswith("again.jpg"))
    app.checkbox(key=f"pair_leaking_chosen_{second}").check().run()
    app.selectbox(key="pair_leaking_new_class").set_value("Meningioma").run()
    app.button(key="pair_leaking_relabel").click().run()
    assert not app.exception
    assert read_draft(leaking) == {second: "Meningioma"}


def test_a_data_set_can_be_renamed_and_noted(leaking: Dataset) -> None:
    app = open_page("pages/1_Dataset.py", "versions")
    app.text_input(key="name_leaking").set_value("Better name")
    app.text_area(key="note_leaking").set_value("from the course")
    app.button(key="save_notes").click().run()
    assert not app.exception
    assert (list_datasets()[0].name, list_datasets()[0].note) == ("Better name", "from the course")


def test_a_start_on_leaking_data_asks_first(leaking: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.control.launch", lambda *_: None)
    app = open_page("pages/2_Train.py")
    app.button(key="start_training").click().run()
    assert not app.exception
    assert list_runs() == []


def test_a_start_on_clean_data_does_not_ask(leaking: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    version = run_import(create_version(leaking, new_split(0.2, 0.2)))
    run_audit(version)
    monkeypatch.setattr("core.control.launch", lambda *_: None)
    app = open_page("pages/2_Train.py", dataset=version.dataset_id)
    app.button(key="start_training").click().run()
    assert [run.config.dataset_id for run in list_runs()] == [version.dataset_id]


@pytest.mark.training
def test_evaluate_shows_the_score_without_leaks_beside_the_other(finished_run: Run) -> None:
    dataset = dataset_of(finished_run)
    assert dataset is not None
    shutil.rmtree(audit_folder(dataset))
    assert "not looked at yet" in words(open_page("pages/3_Evaluate.py", run=finished_run.run_id))
    run_audit(dataset)
    assert "No test scan has a twin" in words(open_page("pages/3_Evaluate.py", run=finished_run.run_id))
    path = audit_folder(dataset) / "result.json"
    result = json.loads(path.read_text())
    first = next(at for at, picture in enumerate(read_manifest(dataset)) if picture.split == "test")
    path.write_text(json.dumps(result | {"leaks": {"validation": [], "test": [first]}}))
    app = open_page("pages/3_Evaluate.py", run=finished_run.run_id)
    n = dataset.n_in("test")
    assert {f"All {n} test scans", f"{n - 1} without a twin"} <= {metric.label for metric in app.metric}


@pytest.mark.parametrize(("page", "view"), VIEWS)
def test_every_page_opens_with_a_data_set(page: str, view: str, tiny_dataset: Dataset) -> None:
    assert not open_page(page, view).error


@pytest.mark.parametrize(("page", "view"), VIEWS)
def test_every_page_opens_with_a_running_run(page: str, view: str, running_run: Run) -> None:
    assert not open_page(page, view).error


@pytest.mark.parametrize(("page", "view"), VIEWS)
def test_every_page_opens_with_a_failed_run(page: str, view: str, failed_run: Run) -> None:
    app = open_page(page, view)
    if view == "live":
        assert "The disk is full." in words(app)


@pytest.mark.training
@pytest.mark.parametrize(("page", "view"), VIEWS)
def test_every_page_opens_with_finished_runs(page: str, view: str, finished_runs: list[Run]) -> None:
    app = open_page(page, view)
    assert not app.error
    if page in ("pages/3_Evaluate.py", "pages/4_Compare.py", "pages/5_Predict.py"):
        assert "not for diagnosis" in words(app)


@pytest.mark.parametrize(("page", "kind"), [("pages/1_Dataset.py", "dataset"), ("pages/2_Train.py", "run")])
def test_an_id_in_the_address_that_is_not_here_is_told(page: str, kind: str, failed_run: Run) -> None:
    view = "explore" if kind == "dataset" else "live"
    assert "no" in words(open_page(page, view, **{kind: "nothing"}))
    assert "with the id nothing here" in words(open_page(page, view, **{kind: "nothing"}))


def test_a_zip_can_be_uploaded_and_imported(make_zip: Callable[..., Path]) -> None:
    app = open_page("pages/1_Dataset.py")
    app.file_uploader(key="dataset_zip").set_value(("mine.zip", make_zip(THREE_SPLITS).read_bytes(), "application/zip"))
    app.button(key="import_dataset").click()
    app.run()
    wait_for(lambda: [dataset.dataset_id for dataset in list_datasets()] == ["mine"])
    wait_for(lambda: not jobs.read_status(list_imports()[0]).is_alive)
    app.run()
    assert app.query_params["view"] == "explore"
    assert app.selectbox(key="dataset").value == "mine"


def test_a_pattern_of_patients_is_checked_before_the_upload_is_sent(make_zip: Callable[..., Path]) -> None:
    members = {f"{'AB'[n % 2]}/patient{n}_{m}.png": None for n in range(10) for m in range(3)}
    app = open_page("pages/1_Dataset.py")
    app.text_input(key="patient_pattern").set_value("patient(").run()
    assert "This pattern cannot be used." in words(app)
    assert app.button(key="import_dataset").disabled
    app.text_input(key="patient_pattern").set_value(r"patient(\d+)").run()
    app.file_uploader(key="dataset_zip").set_value(("mine.zip", make_zip(members).read_bytes(), "application/zip"))
    app.button(key="import_dataset").click()
    app.run()
    wait_for(lambda: [dataset.dataset_id for dataset in list_datasets()] == ["mine"])
    assert "10 patients were found" in list_datasets()[0].notes[0]


def test_import_without_a_file_says_so(workspace: Path) -> None:
    app = open_page("pages/1_Dataset.py")
    app.button(key="import_dataset").click().run()
    assert "Choose a ZIP first." in words(app)


def test_a_failed_import_says_why_and_can_be_dismissed(make_zip: Callable[..., Path]) -> None:
    app = open_page("pages/1_Dataset.py")
    app.file_uploader(key="dataset_zip").set_value(("bad.zip", b"not a zip", "application/zip"))
    app.button(key="import_dataset").click()
    app.run()
    wait_for(lambda: jobs.read_status(list_imports()[0]).state == "failed")
    app.run()
    assert "not a ZIP" in words(app)
    next(button for button in app.button if button.label == "Dismiss").click().run()
    assert "not a ZIP" not in words(app)


def test_a_zip_of_the_servers_import_folder_can_be_imported(
    make_zip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "server"
    root.mkdir()
    make_zip(THREE_SPLITS, "lab.zip").rename(root / "lab.zip")
    (root / "outside").symlink_to(tmp_path)
    monkeypatch.setenv("STUDIO_IMPORT_ROOT", str(root))
    app = open_page("pages/1_Dataset.py")
    assert app.selectbox(key="server_source").options == ["lab.zip"]
    app.button(key="import_from_server").click().run()
    wait_for(lambda: [dataset.dataset_id for dataset in list_datasets()] == ["lab"])


def test_a_training_cannot_start_without_weights_and_says_what_to_do(tiny_dataset: Dataset) -> None:
    app = open_page("pages/2_Train.py")
    app.radio(key="architecture").set_value("mobilenet_v2").run()
    assert app.button(key="start_training").disabled
    assert "choose random weights" in words(app)
    app.selectbox(key="weights_mobilenet_v2").set_value("random").run()
    assert not app.button(key="start_training").disabled


def test_the_form_starts_a_run_with_its_settings(tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    run_audit(tiny_dataset)
    launched: list[str] = []
    monkeypatch.setattr("core.control.launch", lambda module, folder, *_: launched.append(module))
    app = open_page("pages/2_Train.py")
    app.number_input(key="setting_tiny_custom_cnn_epochs").set_value(2)
    app.toggle(key="setting_tiny_custom_cnn_horizontal_flip").set_value(False)
    app.text_input(key="run_name").set_value("Mine")
    app.button(key="start_training").click().run()
    run = list_runs()[0]
    assert launched == ["core.ml.train"]
    assert (run.name, run.config.epochs, run.config.horizontal_flip) == ("Mine", 2, False)
    assert app.query_params["view"] == "live"
    assert app.query_params["run"] == run.run_id
    assert not app.exception


@pytest.mark.parametrize(("per_second", "told"), [(240.4, "240"), (0.05, "–"), (None, "–")])
def test_a_speed_is_told_where_there_are_pictures_to_count(
    make_run: Callable[..., Run], per_second: float | None, told: str
) -> None:
    run = make_run()
    with jobs.hold(run.folder) as job:
        progress = {"done": 1, "total": 3, "per_second": per_second}
        job.update(state="running", started_at=run.status.queued_at, message="Measuring", progress=progress)
        app = open_page("pages/2_Train.py", "live", run=run.run_id)
    assert {metric.label: metric.value for metric in app.metric}["Speed"] == told


def test_a_running_run_can_be_stopped_from_its_page(running_run: Run) -> None:
    app = open_page("pages/2_Train.py", "live", run=running_run.run_id)
    assert "Accuracy" in words(app)
    app.button(key="stop_training").click().run()
    assert (running_run.folder / "stop").exists()
    assert list_runs()[0].state == "stopping"


@pytest.mark.training
def test_evaluate_shows_the_numbers_of_the_chosen_run(finished_runs: list[Run]) -> None:
    app = open_page("pages/3_Evaluate.py", run=finished_runs[1].run_id)
    assert app.selectbox(key="run").value == finished_runs[1].run_id
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Test accuracy"] == f"{finished_runs[1].score('test'):.1%}"
    assert "Convergence." in words(app)
    assert "Overfitting." in words(app)


@pytest.mark.training
def test_compare_takes_its_runs_from_the_address(finished_runs: list[Run]) -> None:
    app = open_page("pages/4_Compare.py")
    assert set(app.multiselect[0].value) == {run.run_id for run in finished_runs}
    assert "McNemar" in words(app)
    assert "Not comparable" not in words(app)


@pytest.mark.training
def test_runs_with_different_test_sets_are_marked(finished_runs: list[Run]) -> None:
    path = finished_runs[0].folder / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"test_fingerprint": "other"}))
    app = open_page("pages/4_Compare.py")
    assert "Not comparable" in words(app)
    assert "McNemar" not in words(app)


@pytest.mark.training
def test_predict_takes_one_scan_many_and_bad_ones(finished_run: Run) -> None:
    app = open_page("pages/5_Predict.py", run=finished_run.run_id)
    one = ("scan.png", picture_bytes(1), "image/png")
    app.file_uploader(key="scans").set_value([one]).run()
    assert not app.exception
    assert any(metric.label == "Predicted class" for metric in app.metric)
    app.file_uploader(key="scans").set_value([one, ("b.png", picture_bytes(2), "image/png"), ("c.txt", b"x", "")]).run()
    assert not app.exception
    assert "c.txt is not a picture" in words(app)
    assert len(app.dataframe[0].value) == 2


@pytest.mark.training
def test_a_frame_is_chosen_where_there_are_several(finished_run: Run) -> None:
    import io

    from PIL import Image

    pages = [Image.open(io.BytesIO(picture_bytes(number))) for number in range(3)]
    buffer = io.BytesIO()
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    app = open_page("pages/5_Predict.py", run=finished_run.run_id)
    app.file_uploader(key="scans").set_value([("scan.tif", buffer.getvalue(), "image/tiff")]).run()
    choice = app.number_input[0]
    assert (choice.key or "").startswith("frame_")
    assert (choice.value, choice.max) == (1, 3)
    choice.set_value(3).run()
    assert not app.exception
    assert any(metric.label == "Predicted class" for metric in app.metric)
    app.file_uploader(key="scans").set_value([("scan.png", picture_bytes(1), "image/png")]).run()
    assert not app.number_input


@pytest.mark.training
def test_a_damaged_model_is_an_error_in_words(finished_run: Run) -> None:
    (finished_run.folder / "model.onnx").write_bytes(b"x")
    app = open_page("pages/5_Predict.py", run=finished_run.run_id)
    app.file_uploader(key="scans").set_value([("scan.png", picture_bytes(1), "image/png")]).run()
    assert not app.exception
    assert "damaged" in words(app)


def test_names_from_a_users_files_cannot_draw(make_zip: Callable[..., Path]) -> None:
    evil = "![x](http:__evil.example_x.png) <b>"
    members: dict[str, bytes | None] = {f"D/{name}/{n}.png": None for name in (evil, "B") for n in range(8)}
    run_import(create_import(path=make_zip(members)))
    app = open_page("pages/1_Dataset.py", "explore")
    assert "![x](" not in words(app)
