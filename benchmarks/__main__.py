"""Run a benchmark: `python -m benchmarks NAME …`; it prints a table in Markdown."""

from __future__ import annotations

import argparse
import sys

from benchmarks import audit, faults, importing, memory, models, pages, sessions, steps, training

_BENCHMARKS = {
    "audit": audit,
    "faults": faults,
    "import": importing,
    "training": training,
    "memory": memory,
    "models": models,
    "pages": pages,
    "sessions": sessions,
    "steps": steps,
}


def main() -> int:
    """Choose a benchmark by its name and run it with its own options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(metavar="NAME", required=True)
    for name, module in _BENCHMARKS.items():
        command = commands.add_parser(name, help=str(module.__doc__).splitlines()[0], description=module.__doc__)
        module.add_options(command)
        command.set_defaults(run=module.run)
    options = parser.parse_args()
    options.run(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
