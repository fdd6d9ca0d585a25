"""The only place that knows Streamlit from inside (1.67), for what cannot be mended from outside."""

from __future__ import annotations

import functools
from typing import Any

from streamlit.runtime.scriptrunner.script_runner import ScriptRunner


def drop_reruns_of_gone_fragments() -> None:
    """Let a rerun of parts of a page that are gone do nothing at all.

    The browser asks for reruns of polling parts by a timer. One that it sent just before it heard of a move of ours to
    another page waits on the server until that page is drawn. Streamlit then finds none of the parts, but has told the
    browser by then that the old page begins: it clears everything, and the next part that polls draws into a page that
    is empty, which ends in a blank page ("Bad delta path index").
    """
    run_script = getattr(ScriptRunner, "_run_script", None)
    if run_script is None or hasattr(run_script, "__wrapped__"):  # another version, or done already
        return

    @functools.wraps(run_script)
    def run_what_is_there(self: Any, rerun_data: Any) -> None:
        parts = rerun_data.fragment_id_queue
        if not parts or any(self._fragment_storage.contains(part) for part in parts):
            run_script(self, rerun_data)

    ScriptRunner._run_script = run_what_is_there  # type: ignore[method-assign]
