"""Pass all tests on this machine: `python -m tests [pytest options]`.

Finds or installs a Chromium for the browser tests, then runs format, lint and type checks, then pytest. Without any
Chromium the browser tests are skipped with a word on how to get one; with CI=true that is a failure.
"""

from __future__ import annotations

import subprocess
import sys

from tests.chromium import HOW_TO_GET, find_or_install

CHECKS = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy",),
)


def main(options: list[str]) -> int:
    """Run everything; returns the exit code of the first failure."""
    chromium = find_or_install()
    print(f"Chromium: {chromium or HOW_TO_GET}", flush=True)
    for check in CHECKS:
        print(f"$ {' '.join(check)}", flush=True)
        code = subprocess.run([sys.executable, "-m", *check]).returncode
        if code:
            return code
    return subprocess.run([sys.executable, "-m", "pytest", *options]).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
