"""Evaluate: how good the kept model of a run is."""

from core.runs import best_run, list_runs
from core.ui import selection, shell
from core.ui.scores import render_scores

with shell.page("evaluate"):
    scored = [run for run in list_runs() if run.has_scores]
    if not scored:
        shell.empty_state("No run has a model to judge yet. Train one, or wait for its end.", "train", "Train a model")
    else:
        run = selection.choose_run(scored, default=best_run(scored))
        shell.research_note()
        render_scores(run)
