"""Commands that make, list, audit and export data sets."""

from __future__ import annotations

import argparse
from typing import Any

from core.commands.output import say, say_progress, to_path, to_zip_path


def import_dataset(options: argparse.Namespace) -> Any:
    """Import a ZIP or a folder."""
    return _run_import(
        path=to_path(options.path), name=options.name, patient_pattern=options.patient_pattern, frame=options.frame
    )


def sample(options: argparse.Namespace) -> Any:
    """Make the synthetic sample."""
    return _run_import(name=options.name or "Synthetic sample", images_per_class=options.images_per_class)


def _run_import(**request: Any) -> Any:
    from core.datasets import describe
    from core.importing import create_import, run_import
    from core.workspace import remove_remains

    remove_remains()
    dataset = run_import(create_import(**request), say_progress)
    for note in dataset.notes:
        say(f"Note: {note}")
    if dataset.skipped:
        say(f"Warning: {len(dataset.skipped)} file(s) were left out; see `skipped`.")
    return describe(dataset)


def datasets(options: argparse.Namespace) -> Any:
    """List the data sets."""
    from core.datasets import describe, list_datasets

    return [describe(dataset) for dataset in list_datasets()]


def audit(options: argparse.Namespace) -> Any:
    """Audit a data set."""
    from core.audit import describe_audit
    from core.auditing import run_audit
    from core.datasets import read_dataset

    dataset = read_dataset(options.dataset)
    audit = run_audit(dataset, say_progress)
    if audit.n_label_conflicts > len(audit.label_conflicts):
        say(f"Warning: {len(audit.label_conflicts):,} of {audit.n_label_conflicts:,} label conflicts are listed.")
    return describe_audit(dataset, audit)


def split(options: argparse.Namespace) -> Any:
    """Make a version with a grouped split."""
    from core.datasets import describe, read_dataset
    from core.importing import create_version, run_import
    from core.versions import new_split

    change = new_split(options.validation, options.test, options.seed)
    folder = create_version(read_dataset(options.dataset), change, options.name)
    version = run_import(folder, say_progress)
    for note in version.notes:
        say(f"Note: {note}")
    return describe(version)


def export_dataset(options: argparse.Namespace) -> Any:
    """Write a data set as a ZIP."""
    from core.datasets import read_dataset
    from core.exporting import write_zip

    dataset = read_dataset(options.dataset)
    path = to_zip_path(options.output, dataset.dataset_id)
    write_zip(dataset, path)
    return {"dataset_id": dataset.dataset_id, "path": str(path), "bytes": path.stat().st_size}
