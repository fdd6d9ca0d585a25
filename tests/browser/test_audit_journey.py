"""From leaking data to a score that can be trusted, as somebody without a line of code goes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.datasets import list_datasets, read_manifest
from core.drafts import read_draft
from core.importing import create_import, run_import
from core.runs import list_runs
from core.samples import draw_phantom
from tests.browser.conftest import Server, settle
from tests.browser.test_journeys import choose_section, click, goto
from tests.core.test_audit import encode, scans
from tests.core.test_importing import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.training, pytest.mark.timeout(600)]
OpenTab = Callable[..., Page]


@pytest.fixture
def leaking_zip(make_zip: Callable[..., Path]) -> Path:
    """One picture of train stands in test again, mirrored, and one in another class."""
    return make_zip(
        scans(8)
        | {
            "Test/Glioma/again.jpg": encode(draw_phantom(0, (23, 0, 0))[:, ::-1], "JPEG"),
            "Train/Meningioma/wrong.png": encode(draw_phantom(0, (23, 1, 0))),
        },
        "leaking.zip",
    )


def test_leaks_are_found_mended_and_asked_about(open_tab: OpenTab, server: Server, leaking_zip: Path) -> None:
    page = open_tab("/Dataset")
    page.locator(".st-key-dataset_zip input[type=file]").set_input_files([leaking_zip])
    expect(page.get_by_text("leaking.zip").first).to_be_visible()
    click(page, "import_dataset")
    expect(page.get_by_text("Scans per split and class")).to_be_visible()
    choose_section(page, "Audit")
    expect(page.get_by_text("1 of 17 test scans (5.9%)")).to_be_visible()
    expect(page.get_by_text("Label conflicts.")).to_be_visible()
    expect(page.get_by_text("The same pixels", exact=False).first).to_be_visible()
    page.reload()
    settle(page)
    expect(page.get_by_text("1 of 17 test scans (5.9%)")).to_be_visible()

    goto(page, "Train")
    click(page, "start_training")
    expect(page.get_by_text("What the score will be worth:")).to_be_visible()
    assert list_runs() == []
    click(page, "repair_first")
    expect(page.get_by_text("No leak:", exact=False)).to_be_visible(timeout=60_000)
    expect(page).to_have_url(re.compile("view=audit"))
    version = list_datasets()[0]
    assert version.parent == "leaking"
    settle(page)

    goto(page, "Train")
    click(page, "start_training")
    expect(page).to_have_url(re.compile("view=live"))
    assert list_runs()[0].config.dataset_id == version.dataset_id
    click(page, "stop_training")
    wait_for(lambda: not list_runs()[0].status.is_alive, seconds=120)


def test_scans_are_marked_saved_and_downloaded(
    open_tab: OpenTab, server: Server, leaking_zip: Path, tmp_path: Path
) -> None:
    dataset = run_import(create_import(path=leaking_zip))
    page = open_tab("/Dataset?view=explore")
    first = read_manifest(dataset)[0]
    boxes = page.locator("[data-testid=stCheckbox] label")  # drawn in any order, so a place says nothing
    boxes.filter(has=page.get_by_label(f"Choose {first.file}", exact=True)).click()
    settle(page)
    click(page, "gallery_leaking_exclude")
    expect(page.get_by_text("1 scan marked:")).to_be_visible()
    expect(page.locator("[data-testid=stCheckbox] input:checked")).to_have_count(0)
    assert list(read_draft(dataset)) == [first.stored]
    page.reload()
    expect(page.get_by_text("1 scan marked:")).to_be_visible()
    click(page, "save_version")
    expect(page.get_by_text("Label conflicts.")).to_be_visible(timeout=60_000)
    version = list_datasets()[0]
    assert version.n_images == dataset.n_images - 1

    page.goto(f"{server.url}/Dataset?view=versions&dataset={version.dataset_id}")
    expect(page.get_by_text("1 scan left out")).to_be_visible()
    with page.expect_download() as download:
        click(page, "download_dataset")
    download.value.save_as(tmp_path / "back.zip")
    assert run_import(create_import(path=tmp_path / "back.zip")).fingerprint == version.fingerprint
