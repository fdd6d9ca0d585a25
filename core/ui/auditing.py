"""The Dataset page's audit: what was found, what it means for a score, and the way to mend it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core import jobs
from core.audit import Audit
from core.auditing import audit_folder, start_audit
from core.balance import NEEDED
from core.datasets import Dataset
from core.leaks import SEEN_BEFORE
from core.ui import cached, charts, data_charts, making, marking, shell
from core.ui.pairs import render_pairs
from core.ui.repair import render_repair
from core.ui.text import count, percent, plain


def render_audit(dataset: Dataset) -> None:
    """The audit of a data set, under way or done."""
    audit = cached.audit(dataset)
    if audit is None:
        _render_missing(dataset)
        return
    _render_verdict(dataset, audit)
    if audit.n_leaks or audit.n_patient_leaks:
        render_repair(dataset)
    _render_numbers(audit)
    _render_leaks(dataset, audit)
    render_pairs(dataset, audit)
    marking.render_draft(dataset)
    _render_quality(dataset, audit)
    _render_shortcuts(audit)
    _render_balance(dataset, audit)


def describe_leaks(dataset: Dataset, audit: Audit) -> str:
    """How many scans of each scored split have a twin that was seen before, in one sentence."""
    parts = [
        f"{len(found):,} of {dataset.n_in(split):,} {split} scans ({percent(len(found) / dataset.n_in(split))})"
        for split, found in reversed(audit.leaks.items())
        if found
    ]
    return f"{' and '.join(parts)} show a picture that the training or the choice of its best epoch has seen."


def describe_patient_leaks(audit: Audit) -> str:
    """How many scans show patients who were seen before, in one sentence."""
    scans = count(audit.n_patient_leaks, "scan of validation and test shows", "scans of validation and test show")
    return f"{scans} a patient of whom other scans were seen before."


def _render_missing(dataset: Dataset) -> None:
    folder = audit_folder(dataset)
    status = jobs.read_status(folder) if (folder / "status.json").exists() else None
    if status is not None and status.is_alive:
        shell.fragment(run_every=0.5)(_render_progress)(dataset)
        return
    with st.container(border=True):
        if status is not None and status.state in ("failed", "interrupted"):
            st.error("The audit did not come to its end.", icon=":material/error:")
            st.text(status.error or "")
        else:
            st.info(
                "This data set was not audited yet. An audit finds pictures that stand in two splits or under two "
                "classes, bad pictures, and shortcuts that a network could take.",
                icon=":material/fact_check:",
            )
        if st.button("Start the audit", key="start_audit", type="primary", icon=":material/play_arrow:"):
            start_audit(dataset)
            st.rerun()


def _render_progress(dataset: Dataset) -> None:
    folder = audit_folder(dataset)
    status = jobs.read_status(folder)
    if not status.is_alive:
        st.rerun()
    with st.container(border=True):
        making.render_progress(status)
        st.caption("The audit goes on if you leave this page or close the tab.")
        if st.button("Cancel", key="cancel_audit", icon=":material/close:"):
            jobs.request_stop(folder)


def _render_verdict(dataset: Dataset, audit: Audit) -> None:
    if audit.n_leaks:
        st.warning(
            f"**Leaks.** {describe_leaks(dataset, audit)} A score on them tells how well a model remembers, not how "
            "well it sees something new: it will be too good.",
            icon=":material/warning:",
        )
    elif audit.n_patient_leaks:
        st.warning(
            f"**Patients on both sides.** {describe_patient_leaks(audit)} A score on them will be too good.",
            icon=":material/warning:",
        )
    else:
        st.success(
            "No leak: no scan of validation or test shows a picture that was seen before"
            f"{', and no patient stands on both sides' if audit.n_patients else ''}.",
            icon=":material/check_circle:",
        )
    if audit.n_label_conflicts:
        st.warning(
            f"**Label conflicts.** {count(audit.n_label_conflicts, 'pair')} of scans show the same picture under "
            "different classes. One of the two is wrong; they are listed below.",
            icon=":material/warning:",
        )


def _render_numbers(audit: Audit) -> None:
    cells = (
        ("Scans", audit.n_images),
        ("Different pictures", audit.n_distinct),
        ("Groups of twins", len(audit.groups)),
        ("Leaks in test", len(audit.leaks["test"])),
        ("Leaks in val.", len(audit.leaks["validation"])),
        ("Label conflicts", audit.n_label_conflicts),
        ("Patients", audit.n_patients or None),
    )
    with st.container(horizontal=True):
        for label, value in cells:
            if value is not None:
                st.metric(label, f"{value:,}", border=True, width=170, height="stretch")
    st.caption(
        "Twins show the same picture: copied, mirrored, turned, encoded anew, resized or a little brighter. Every pair "
        f"was verified on its pixels. The audit took {audit.seconds:.1f} s."
    )


def _render_leaks(dataset: Dataset, audit: Audit) -> None:
    if not audit.n_leaks:
        return
    labels = cached.manifest(dataset)["label"]
    rows = []
    for split in reversed(SEEN_BEFORE):
        counts = labels.iloc[audit.leaks[split]].value_counts()
        for name in dataset.class_names:
            leaked, total = int(counts.get(name, 0)), dataset.splits[split][name]
            rows.append((split.capitalize(), name, leaked, total, 100 * leaked / total if total else 0.0))
    with st.container(border=True):
        st.subheader("Leaks per split and class", anchor=False)
        frame = pd.DataFrame(rows, columns=["Split", "Class", "Leaked", "Scans", "Share"])
        bar = st.column_config.ProgressColumn(min_value=0, max_value=100, format="%.1f%%")
        number = st.column_config.NumberColumn(format="localized")
        st.dataframe(frame, hide_index=True, column_config={"Leaked": number, "Scans": number, "Share": bar})


def _render_quality(dataset: Dataset, audit: Audit) -> None:
    files = cached.manifest(dataset)["file"]
    rows = [(str(files.iloc[at]), problem) for at, problem in audit.quality]
    rows += [(entry["file"], f"Left out at the import: {entry['reason']}") for entry in dataset.skipped]
    with st.container(border=True):
        st.subheader("Quality", anchor=False)
        if not rows:
            st.caption(":material/check: No scan is blank, tiny, of an odd shape, in colour, or a duplicate.")
            return
        st.caption(f"{count(len(rows), 'finding')}. Duplicates within a split make some pictures count twice.")
        st.dataframe(
            pd.DataFrame(rows, columns=["File", "Finding"]), hide_index=True, height=38 + 35 * min(len(rows), 8)
        )


def _render_shortcuts(audit: Audit) -> None:
    suspicious = [entry for entry in audit.shortcuts if entry.is_suspicious]
    with st.container(border=True):
        st.subheader("Shortcuts", anchor=False)
        if suspicious:
            told = ", ".join(f"{entry.name.lower()} alone {percent(entry.accuracy)}" for entry in suspicious)
            chance = percent(audit.shortcuts[0].chance)
            st.markdown(
                f":material/warning: **The class can partly be told without looking at the anatomy:** {told} right, "
                f"where guessing gets {chance}. A network may learn that instead, for instance because each class came "
                "from another source. Try the model on scans from elsewhere before you believe its score."
            )
        else:
            st.caption(":material/check: Size, format, border and brightness alone hardly tell the class.")
        known = [entry for entry in audit.shortcuts if entry.accuracy is not None]
        if known:
            st.plotly_chart(
                data_charts.plot_shortcuts(known),
                config=charts.CONFIG,
                key="shortcuts",
                alt="Share told right by each property alone, and by guessing",
            )
        same = [plain(entry.name.lower()) for entry in audit.shortcuts if entry.accuracy is None]
        constant = f" The same for all scans: {', '.join(same)}." if same else ""
        st.caption(f"Balanced accuracy of a simple model that sees nothing else, cross-validated.{constant}")


def _render_balance(dataset: Dataset, audit: Audit) -> None:
    train = dataset.splits["train"]
    smallest, largest = min(train, key=lambda name: train[name]), max(train, key=lambda name: train[name])
    with st.container(border=True):
        st.subheader("Balance", anchor=False)
        st.caption(
            f"In train, {plain(largest)} has {audit.imbalance:.1f} times as many scans as {plain(smallest)} "
            f"({train[largest]:,} and {train[smallest]:,})."
            + (
                " A training weighs rare classes more unless you turn that off; look at each class's recall rather "
                "than at the accuracy."
                if audit.imbalance > NEEDED
                else " That is balanced enough."
            )
        )
