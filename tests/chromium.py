"""Finds a Chromium for the browser tests, or installs one where that needs no questions."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HOW_TO_GET = (
    "none found. Install it with 'apt-get install chromium' (Debian, Ubuntu) or 'python -m playwright install "
    "chromium', or set STUDIO_CHROMIUM to the program; the browser tests are skipped until then."
)
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"


def find() -> str | None:
    """Path of a Chromium, or None."""
    candidates = [os.environ.get("STUDIO_CHROMIUM"), *map(shutil.which, _NAMES), _MAC, _of_playwright()]
    return next((path for path in candidates if path and Path(path).exists()), None)


def find_or_install() -> str | None:
    """Like `find`; tries the system's package manager (as root) or Playwright's download first where there is none."""
    if find():
        return find()
    if sys.platform == "linux" and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium", "fonts-dejavu-core"], check=False)
    if not find():
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    return find()


def _of_playwright() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return playwright.chromium.executable_path
