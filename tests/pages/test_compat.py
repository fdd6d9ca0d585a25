"""What we mend in Streamlit."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from streamlit.runtime.scriptrunner.script_runner import ScriptRunner

from core.ui.compat import drop_reruns_of_gone_fragments


def test_a_rerun_of_parts_that_are_gone_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(ScriptRunner, "_run_script", lambda self, data: ran.append(data.fragment_id_queue))
    drop_reruns_of_gone_fragments()
    drop_reruns_of_gone_fragments()
    storage = {"there"}
    contains = storage.__contains__
    runner = SimpleNamespace(_fragment_storage=SimpleNamespace(contains=contains))
    for queue in ([], ["gone"], ["there"], ["gone", "there"], ["gone", "gone too"]):
        ScriptRunner._run_script(runner, SimpleNamespace(fragment_id_queue=queue))
    assert ran == [[], ["there"], ["gone", "there"]]
