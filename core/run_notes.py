"""`notes.json` of a run: its name, a note and a star, all the user's own. The only file of a run that is edited."""

from __future__ import annotations

from core.errors import RunError
from core.files import write_json
from core.runs import Run, read_run

LONGEST_NAME, LONGEST_NOTE = 120, 4_000


def write_run_notes(run: Run, *, name: str | None = None, note: str | None = None, star: bool | None = None) -> Run:
    """Change what is given, and leave the rest.

    Raises:
        RunError: the name is empty or too long, or the note is too long.
    """
    run = read_run(run.run_id)  # another tab may have changed the rest
    name = run.name if name is None else " ".join(name.split())
    note = run.note if note is None else note.strip()
    if not 0 < len(name) <= LONGEST_NAME:
        raise RunError(f"A run's name has 1 to {LONGEST_NAME} characters. Received: {len(name)}. Choose another.")
    if len(note) > LONGEST_NOTE:
        raise RunError(f"A note has at most {LONGEST_NOTE:,} characters. Received: {len(note):,}. Shorten it.")
    star = run.star if star is None else star
    write_json(run.folder / "notes.json", {"name": name, "note": note, "star": star})
    return read_run(run.run_id)
