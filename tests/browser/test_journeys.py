"""The main journeys, as somebody without a line of code takes them."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from core.config import default_config
from core.control import delete_run
from core.datasets import list_datasets, read_dataset
from core.history import read_history
from core.intake import THUMBNAIL
from core.runs import Run, list_runs
from tests.browser.conftest import Server, settle
from tests.conftest import picture_bytes
from tests.core.test_importing import THREE_SPLITS, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.training, pytest.mark.timeout(600)]
OpenTab = Callable[..., Page]


def badge(page: Page, word: str) -> Locator:
    """The badge with the state of a run."""
    return page.locator(".stMarkdownBadge", has_text=word)


def expect_choice(page: Page, key: str, ending: str) -> None:
    """The select box with a key shows a text that ends like this."""
    expect(page.locator(f".st-key-{key} input")).to_have_value(re.compile(f"{re.escape(ending)}$"))


def click(page: Page, key: str) -> None:
    """Click the button with a key."""
    page.locator(f".st-key-{key} button").first.click()


def fill_number(page: Page, key: str, value: int) -> None:
    """Type into the number box with a key."""
    box = page.locator(f".st-key-{key} input").first
    box.fill(str(value))
    box.press("Enter")
    settle(page)


def goto(page: Page, title: str) -> None:
    """Follow the sidebar's link, once it is no longer drawn anew under the click."""
    settle(page)
    page.locator("[data-testid=stSidebar]").get_by_role("link", name=title, exact=True).click()
    expect(page.locator("h1")).to_have_text(title)
    settle(page)


def choose_section(page: Page, title: str) -> None:
    """Click in the switcher of sections."""
    page.frame_locator("iframe").first.get_by_text(title, exact=True).click()


def test_from_nothing_to_a_prediction(open_tab: OpenTab, server: Server, tmp_path: Path) -> None:
    page = open_tab("/")
    page.get_by_role("link", name="Import scans").click()
    click(page, "make_sample")
    expect(page.get_by_text("Scans per split and class")).to_be_visible()
    expect(page).to_have_url(re.compile("view=explore"))
    assert list_datasets()[0].synthetic
    thumbnail = page.locator("[data-testid=stImage] img").first
    expect(thumbnail).to_be_visible()
    assert thumbnail.evaluate("image => image.decode().then(() => image.naturalWidth)") == THUMBNAIL

    goto(page, "Train")
    prefix = f"setting_{list_datasets()[0].dataset_id}_custom_cnn"
    for epochs in (2, 60):
        fill_number(page, f"{prefix}_epochs", epochs)
        click(page, "start_training")
        expect(page).to_have_url(re.compile("view=live"))
        choose_section(page, "Configure")
        expect(page.locator(".st-key-start_training button")).to_be_visible()
    second, first = list_runs()
    page.goto(f"{server.url}/Train?view=live&run={first.run_id}")
    expect(badge(page, "Finished")).to_be_visible(timeout=240_000)
    expect(page.locator(".st-key-live_accuracy .js-plotly-plot")).to_be_visible()

    page.goto(f"{server.url}/Train?view=live&run={second.run_id}")
    expect(badge(page, "Running")).to_be_visible(timeout=60_000)
    wait_for(lambda: len(read_history(second.folder)) >= 1, seconds=240)
    expect(page.locator(".st-key-live_loss .js-plotly-plot")).to_be_visible()
    page.reload()
    expect(badge(page, "Running")).to_be_visible()
    click(page, "stop_training")
    expect(badge(page, "Stopped")).to_be_visible(timeout=120_000)
    expect(page.get_by_role("button", name="Keras model")).to_be_visible()

    goto(page, "Evaluate")
    expect(page.get_by_text("Confusion matrix", exact=True)).to_be_visible()
    expect(page.get_by_text("Convergence.")).to_be_visible()
    goto(page, "Compare")
    expect(page.get_by_text("F1 per class on test")).to_be_visible()
    expect(page.get_by_text("McNemar")).to_be_visible()

    goto(page, "Predict")
    for number in range(2):
        (tmp_path / f"scan{number}.png").write_bytes(picture_bytes(number))
    page.locator(".st-key-scans input[type=file]").set_input_files([tmp_path / "scan0.png"])
    expect(page.get_by_text("Grad-CAM")).to_be_visible()
    expect(page.locator(".st-key-probabilities .js-plotly-plot")).to_be_visible()
    page.locator(".st-key-scans input[type=file]").set_input_files([tmp_path / "scan1.png"])
    expect(page.get_by_role("button", name="Predictions as CSV")).to_be_visible()

    assert server.process is not None
    maps = Path(f"/proc/{server.process.pid}/maps")
    if maps.exists():
        assert "tensorflow" not in maps.read_text().lower(), "the web process must never import TensorFlow"


def test_a_zip_is_uploaded_and_bad_ones_are_told(
    open_tab: OpenTab, make_zip: Callable[..., Path], tmp_path: Path
) -> None:
    page = open_tab("/Dataset")
    page.locator(".st-key-dataset_zip input[type=file]").set_input_files(make_zip(THREE_SPLITS, "mine.zip"))
    expect(page.get_by_text("mine.zip")).to_be_visible()
    click(page, "import_dataset")
    expect(page.get_by_text("Scans per split and class")).to_be_visible()
    assert [dataset.dataset_id for dataset in list_datasets()] == ["mine"]
    choose_section(page, "Import")
    (tmp_path / "bad.zip").write_bytes(b"not a zip")
    page.locator(".st-key-dataset_zip input[type=file]").set_input_files(tmp_path / "bad.zip")
    expect(page.get_by_text("bad.zip")).to_be_visible()
    click(page, "import_dataset")
    expect(page.get_by_text("bad.zip is not a ZIP").or_(page.get_by_text("is not a ZIP"))).to_be_visible()
    assert [dataset.dataset_id for dataset in list_datasets()] == ["mine"]


def test_deep_links_work_after_a_restart_of_the_server(
    finished_runs: list[Run], open_tab: OpenTab, server: Server
) -> None:
    server.stop()
    server.start()
    page = open_tab(f"/Evaluate?run={finished_runs[1].run_id}")
    expect(page.locator("h1")).to_have_text("Evaluate")
    expect_choice(page, "run", finished_runs[1].run_id[-11:])
    expect(page.locator("[data-testid=stSidebar]").get_by_role("link", name="Train")).to_be_visible()
    page.reload()
    settle(page)
    expect_choice(page, "run", finished_runs[1].run_id[-11:])
    for path, title in (
        ("/Dataset?view=explore", "Dataset"),
        ("/Train?view=history", "Train"),
        ("/Compare", "Compare"),
    ):
        expect(open_tab(path).locator("h1")).to_have_text(title)


def test_back_and_forward_follow_the_sections(finished_run: Run, open_tab: OpenTab) -> None:
    page = open_tab("/Train")
    expect(page.locator(".st-key-start_training")).to_be_visible()
    choose_section(page, "History")
    expect(page.locator(".st-key-runs_table")).to_be_visible()
    choose_section(page, "Live")
    expect(page.locator(".st-key-live_accuracy")).to_be_visible()
    page.go_back()
    expect(page.locator(".st-key-runs_table")).to_be_visible()
    page.go_back()
    expect(page.locator(".st-key-start_training")).to_be_visible()
    page.go_forward()
    expect(page.locator(".st-key-runs_table")).to_be_visible()


def test_the_settings_of_a_run_come_back_into_the_form(finished_run: Run, open_tab: OpenTab) -> None:
    default = default_config(read_dataset("tiny"), "custom_cnn").epochs
    assert default != finished_run.config.epochs
    page = open_tab(f"/Train?view=live&run={finished_run.run_id}")
    click(page, "train_again")
    settings = {"epochs": "2", "batch_size": "8", "learning_rate": "0.00100"}
    for name, value in settings.items():
        expect(page.locator(f".st-key-setting_tiny_custom_cnn_{name} input")).to_have_value(value)
    page.reload()
    expect(page.locator(".st-key-setting_tiny_custom_cnn_batch_size input")).to_have_value("8")
    expect(page.locator(".st-key-setting_tiny_custom_cnn_epochs input")).to_have_value(str(default))


def test_a_click_on_a_confusion_cell_shows_its_scans(finished_run: Run, open_tab: OpenTab) -> None:
    page = open_tab(f"/Evaluate?run={finished_run.run_id}")
    chart = page.locator(".st-key-confusion .nsewdrag").first
    chart.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    box = chart.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 3.5 / 4, box["y"] + box["height"] * 0.5 / 4)
    expect_choice(page, "cell_true", "Glioma")
    expect_choice(page, "cell_predicted", "Pituitary")


def test_a_training_outlives_the_server_and_a_killed_one_is_told(
    tiny_dataset: object, open_tab: OpenTab, server: Server
) -> None:
    page = open_tab("/Train")
    fill_number(page, "setting_tiny_custom_cnn_epochs", 400)
    click(page, "start_training")
    expect(badge(page, "Running")).to_be_visible()
    run = list_runs()[0]
    page.close()
    server.stop()
    wait_for(lambda: len(read_history(run.folder)) >= 2, seconds=120)
    server.start()
    page = open_tab(f"/Train?view=live&run={run.run_id}")
    expect(badge(page, "Running")).to_be_visible()
    os.kill(list_runs()[0].status.pid or 0, signal.SIGKILL)
    expect(badge(page, "Interrupted")).to_be_visible(timeout=10_000)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_fits_a_phone(finished_run: Run, open_tab: OpenTab, theme: str) -> None:
    for path in ("/", "/Dataset?view=explore", "/Train", "/Evaluate", "/Predict"):
        page = open_tab(path, color_scheme=theme)
        page.set_viewport_size({"width": 390, "height": 844})
        page.wait_for_function("document.querySelector('[data-testid=stMain]').scrollWidth <= 390", timeout=10_000)


def test_a_data_set_is_deleted_after_asking_and_kept_while_runs_need_it(
    finished_run: Run, open_tab: OpenTab, workspace: Path
) -> None:
    page = open_tab("/Dataset")
    click(page, "delete_dataset")
    click(page, "confirm_delete_dataset")
    expect(page.get_by_text("is needed by 2 run(s)")).to_be_visible()
    for run in list_runs():
        delete_run(run.run_id)
    click(page, "confirm_delete_dataset")
    wait_for(lambda: list_datasets() == [])
    expect(page.locator(".st-key-delete_dataset")).to_have_count(0)
