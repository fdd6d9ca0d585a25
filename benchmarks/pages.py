"""Time of a page switch in a browser, while a training runs and while none does.

Switches between Dataset and Predict with the links of the sidebar until the new page has drawn its title and its script
has ended. Needs Chromium, as the browser tests do.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, sync_playwright

from benchmarks.studio import say, workspace
from core.config import make_config
from core.control import start_run, stop_run
from core.importing import create_import, run_import
from core.runs import read_run
from tests.browser.conftest import ARGUMENTS, Server, settle
from tests.chromium import find

_PAGES = ("Dataset", "Predict")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the command line."""
    parser.add_argument("--switches", type=int, default=20)
    parser.add_argument("--zip", type=Path, help="a data set; the synthetic sample without it")
    parser.add_argument("--architecture", default="custom_cnn")


def run(options: argparse.Namespace) -> None:
    """Measure both and print a table."""
    chromium = find()
    with workspace() as home, sync_playwright() as playwright:
        source = {"path": options.zip.resolve()} if options.zip else {"images_per_class": 200}
        dataset = run_import(create_import(**source))
        server = Server(home, home / "server.log")
        server.start()
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        try:
            page = browser.new_page(viewport={"width": 1300, "height": 1000})
            page.goto(server.url)
            settle(page)
            _measure(page, 6)  # first visits import and cache
            idle = _measure(page, options.switches)
            say("Training")
            config = make_config(dataset, options.architecture, {"epochs": 500, "patience": 0, "weights": "random"})
            training = start_run(dataset, config)
            try:
                busy = _measure_beside(page, training.run_id, options.switches)
            finally:
                _end(training.run_id)
        finally:
            browser.close()
            server.stop()
    print("| | median, s | slowest, s |\n|---|--:|--:|")
    print(f"| page switch, nothing else running | {median(idle):.2f} | {max(idle):.2f} |")
    print(f"| page switch, {options.architecture} training | {median(busy):.2f} | {max(busy):.2f} |")
    print(f"\nwhile training ÷ without: {median(busy) / median(idle):.2f} (target ≤ 2)")


def _measure_beside(page: Page, run_id: str, n: int) -> list[float]:
    while "epoch" not in (run := read_run(run_id)).status.progress:
        if not run.status.is_alive:
            raise SystemExit(f"The training {run.state}: {run.status.error}")
        time.sleep(0.2)
    return _measure(page, n)


def _end(run_id: str) -> None:
    if read_run(run_id).status.is_alive:
        stop_run(run_id)
    while read_run(run_id).status.is_alive:
        time.sleep(0.2)


def _measure(page: Page, n: int) -> list[float]:
    seconds = []
    for at in range(n):
        name = _PAGES[at % 2]
        started = time.perf_counter()
        page.locator("[data-testid=stSidebar]").get_by_role("link", name=name).first.click()
        page.wait_for_url(f"**/{name}*")
        settle(page)
        page.get_by_role("heading", name=name, level=1).wait_for()
        seconds.append(time.perf_counter() - started)
    return seconds
