"""A real server and a real Chromium."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from core.settings import PROJECT
from tests.chromium import HOW_TO_GET, find

expect.set_options(timeout=30_000)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
# What Streamlit itself says: on deep links, of old browsers' features, of a picture whose page was left while it was
# loading, and of a server that a test has stopped. Nothing of ours.
STREAMLITS_OWN = (
    "Unrecognized feature",
    "allow-scripts and allow-same-origin",
    "404 (Not Found)",
    "Infinite extent",
    "Image source error",
    "WebSocket",
    "ERR_CONNECTION_REFUSED",
)


class Server:
    """The app as a user starts it, on a free port."""

    def __init__(self, home: Path, log: Path) -> None:
        self.home, self.log = home, log
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers."""
        environment = os.environ | {"STUDIO_HOME": str(self.home)}
        command = [sys.executable, "-m", "streamlit", "run", "Home.py", "--server.port", str(self.port)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=log, stderr=log)
        end = time.time() + 60
        while time.time() < end:
            try:
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1).read()
                return
            except (URLError, OSError):
                time.sleep(0.1)
        raise AssertionError(f"the server did not start: {self.log.read_text()}")

    def stop(self) -> None:
        """End it as Ctrl-C would."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)


@pytest.fixture
def server(workspace: Path, tmp_path: Path) -> Iterator[Server]:
    """A running server on the test's workspace."""
    running = Server(workspace, tmp_path / "server.log")
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A Chromium; in CI it must be there. It ends with this package: its event loop would be in the way of others."""
    path = find()
    if path is None:
        message = f"Chromium: {HOW_TO_GET}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def open_tab(browser: Browser, server: Server) -> Iterator[Callable[..., Page]]:
    """Opens tabs; at the end no page may have written an error of ours to the console."""
    errors: list[str] = []
    contexts = []

    def open_(path: str = "/", **options: object) -> Page:
        context = browser.new_context(viewport={"width": 1300, "height": 1000}, **options)  # type: ignore[arg-type]
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(server.url + path)
        settle(page)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not [error for error in errors if not any(own in error for own in STREAMLITS_OWN)]


def settle(page: Page) -> None:
    """Wait until the script has run and drawn a title."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    page.wait_for_selector("h1")
