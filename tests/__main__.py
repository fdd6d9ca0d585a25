"""Pass all tests on this machine: `python -m tests [pytest options]`.

Finds or installs a Chromium for the browser tests, then runs format, lint and type checks, then pytest. Without any
Chromium the browser tests are skipped with a word on how to get one; with CI=true that is a failure.

Without options the tests run in two halves side by side: trainings of networks, and all others.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

from tests.chromium import HOW_TO_GET, find_or_install

CHECKS = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy",),
)
PYTEST = (sys.executable, "-m", "pytest", "--durations=12")  # all have to pass in twenty minutes
TRAININGS = ("tests/ml",)
OTHERS = ("tests", "--ignore=tests/ml")


def main(options: list[str]) -> int:
    """Run everything; returns the exit code of the first failure."""
    chromium = find_or_install()
    print(f"Chromium: {chromium or HOW_TO_GET}", flush=True)
    for check in CHECKS:
        print(f"$ {' '.join(check)}", flush=True)
        code = subprocess.run([sys.executable, "-m", *check]).returncode
        if code:
            return code
    if options:
        return subprocess.run([*PYTEST, *options]).returncode
    return _run_halves()


def _run_halves() -> int:
    """Run both halves; the second one's output is shown when the first has ended. Returns the first failure's code."""
    with tempfile.TemporaryFile() as output:
        second = subprocess.Popen([*PYTEST, *OTHERS], stdout=output, stderr=output)
        first = subprocess.run([*PYTEST, *TRAININGS]).returncode
        code = second.wait()
        output.seek(0)
        sys.stdout.write(output.read().decode(errors="replace"))
    return first or code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
