"""The form of a run's settings, made from `core.config`: a widget per field by its type, with its help text."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

import numpy as np
import streamlit as st
from pydantic.fields import FieldInfo

from core.augmentation import apply_changes, draw_changes
from core.balance import NEEDED, imbalance, weigh_classes
from core.catalog import ARCHITECTURES, Architecture
from core.config import GROUPS, RunConfig, default_config, group_of, make_config, settings_for
from core.datasets import Dataset
from core.runs import Run
from core.scans import fit_scan
from core.ui import cached
from core.ui.selection import say_again
from core.ui.text import count, plain
from core.weights import find_imagenet_weights, how_to_get

_PREVIEWS = 5


def choose_architecture() -> Architecture:
    """The networks as radio buttons, each with what it is good for."""
    say_again("architecture")
    key = st.radio(
        "Architecture",
        list(ARCHITECTURES),
        key="architecture",
        format_func=lambda key: ARCHITECTURES[key].title,
        captions=[_describe(entry) for entry in ARCHITECTURES.values()],
    )
    entry = ARCHITECTURES[str(key)]
    download = f" Its ImageNet weights: {entry.download_mb} MB." if entry.download_mb else ""
    st.caption(f"{entry.summary}{download} Speed: scans per second in prediction, MobileNetV2 being 1×.")
    return entry


def choose_weights(architecture: Architecture, runs: list[Run]) -> str | None:
    """What to start from; says where the weights are, or what to do. None if they cannot be had."""
    lenders = {run.run_id: run for run in runs if run.config.architecture == architecture.key and run.has_scores}
    options = ["random", *lenders]
    if architecture.has_backbone:
        options = ["imagenet", "imagenet-download", *options]
    titles = {
        "imagenet": "ImageNet weights on this machine",
        "imagenet-download": "ImageNet weights, downloaded by Keras",
        "random": "Random weights",
    }
    say_again(f"weights_{architecture.key}")
    chosen = str(
        st.selectbox(
            "Start from",
            options,
            key=f"weights_{architecture.key}",
            format_func=lambda key: titles.get(key) or f"Earlier run: {lenders[key].name} ({key[-11:]})",
            help="ImageNet weights have learned to see on photographs. Random weights know nothing; nothing is frozen.",
        )
    )
    return chosen if _explain_weights(chosen, architecture) else None


def choose_settings(dataset: Dataset, architecture: Architecture, weights: str) -> RunConfig:
    """Widgets for all settings that mean something here, defaults fitted to the data set."""
    defaults = default_config(dataset, architecture.key)
    values: dict[str, Any] = {"weights": weights}
    fields = settings_for(architecture.key)
    for group in GROUPS:
        names = [name for name, field in fields.items() if group_of(field) == group]
        if not names:
            continue
        with (
            st.expander(group, expanded=group == "Training"),
            st.container(horizontal=True, vertical_alignment="bottom"),
        ):
            for name in names:
                key = _key(dataset.dataset_id, architecture.key, name)
                st.session_state.setdefault(key, getattr(defaults, name))
                say_again(key)
                values[name] = _widget(fields[name], getattr(defaults, name), key)
        if group == "Training":
            _show_balance(dataset, bool(values["class_weights"]))
    return make_config(dataset, architecture.key, values)


def take_over_settings(config: RunConfig) -> None:
    """Fill the form, when it is drawn next, with the settings of an earlier run."""
    st.session_state["_taken_over"] = config


def fill_form(dataset_ids: list[str]) -> None:
    """Put taken-over settings into the widgets; must run before they are drawn."""
    config = st.session_state.pop("_taken_over", None)
    if config is None or config.dataset_id not in dataset_ids:
        return
    st.session_state["architecture"] = config.architecture
    st.session_state[f"weights_{config.architecture}"] = config.weights
    for name in settings_for(config.architecture):
        st.session_state[_key(config.dataset_id, config.architecture, name)] = getattr(config, name)


def render_preview(dataset: Dataset, config: RunConfig) -> None:
    """Training scans as the network would see them, augmented anew at each click."""
    with st.container(border=True):
        st.subheader("Augmentation preview", anchor=False)
        if not config.augment:
            st.caption("Augmentation is off: every epoch shows the same pictures.")
            return
        draw = st.session_state.setdefault("preview_draw", 0)
        frame = cached.manifest(dataset)
        train = frame[frame["split"] == "train"]
        rows = train.iloc[np.linspace(0, len(train) - 1, min(_PREVIEWS, len(train))).astype(int)]
        scans = np.stack([fit_scan(cached.scan(dataset.folder / str(stored)), 224) for stored in rows["stored"]])
        changed = apply_changes(scans, draw_changes(config, len(rows), 224, (config.seed, draw)))
        with st.container(horizontal=True):
            for (_, row), scan in zip(rows.iterrows(), changed, strict=True):
                label = plain(str(row["label"]))
                st.image(
                    scan,
                    caption=label,
                    width=140,
                    alt=f"Augmented scan of class {label}",
                )
        if st.button("Draw again", key="preview_again", icon=":material/casino:"):
            st.session_state["preview_draw"] = draw + 1
            st.rerun()
        st.caption("Only training scans are changed, and differently in every epoch; validation and test never are.")


def render_data_note(dataset: Dataset) -> None:
    """What a start on this data set means, in a sentence."""
    counts = dataset.splits["train"]
    smallest = min(counts, key=lambda name: counts[name])
    st.caption(
        f"{count(dataset.n_in('train'), 'scan')} to learn from, {dataset.n_in('validation'):,} to choose the best "
        f"epoch, {dataset.n_in('test'):,} for the final score. Smallest class: {plain(smallest)} "
        f"with {counts[smallest]:,}."
    )


def _describe(entry: Architecture) -> str:
    return f"{entry.good_for} {entry.parameters:g} M parameters, speed {entry.speed:g}×."


def _show_balance(dataset: Dataset, is_on: bool) -> None:
    """What balancing means for this data set: the weights, or that it would be needed."""
    counts = dataset.splits["train"]
    ratio = imbalance(counts)
    size = f"The largest class has {ratio:.1f} times as many scans to learn from as the smallest"
    if is_on:
        weights = ", ".join(f"{plain(name)} {weight:.2f}" for name, weight in weigh_classes(counts).items())
        st.caption(f":material/balance: {size}. Balanced: a scan counts {weights}.")
    elif ratio > NEEDED:
        st.caption(f":material/warning: {size}, and classes are not balanced: rare ones will be learned less well.")


def _explain_weights(chosen: str, architecture: Architecture) -> bool:
    if chosen == "imagenet":
        found = find_imagenet_weights(architecture)
        if found is None:
            st.warning("These weights are not on this machine.", icon=":material/warning:")
            st.text(how_to_get(architecture))
            return False
        st.caption(f":material/check: {plain(found.path.name)} in {plain(found.place)}.")
    elif chosen == "imagenet-download":
        st.caption(
            f"Keras fetches about {architecture.download_mb} MB from the internet at the start. Only this file is "
            "asked for; no scan leaves."
        )
    elif chosen == "random" and architecture.has_backbone:
        st.caption("All layers learn from nothing. That takes far longer and needs far more scans.")
    return True


def _key(dataset_id: str, architecture: str, name: str) -> str:
    return f"setting_{dataset_id}_{architecture}_{name}"


def _widget(field: FieldInfo, default: Any, key: str) -> Any:
    label, text = str(field.title), field.description
    if get_origin(field.annotation) is Literal:
        options = list(get_args(field.annotation))
        return st.selectbox(label, options, key=key, help=text, width=210)
    if field.annotation is bool:
        return st.toggle(label, key=key, help=text, width=210)
    low, high = _limits(field)
    if field.annotation is int:
        return st.number_input(
            label,
            min_value=int(low),
            max_value=int(high),
            step=1,
            key=key,
            help=text,
            width=210,
        )
    return st.number_input(
        label,
        min_value=low,
        max_value=high,
        step=_step(default),
        format=f"%0.{_decimals(default)}f",
        key=key,
        help=text,
        width=210,
    )


def _limits(field: FieldInfo) -> tuple[float, float]:
    low, high = 0.0, 2.0**31 - 1
    for limit in field.metadata:
        low = getattr(limit, "ge", low) if getattr(limit, "ge", None) is not None else low
        if getattr(limit, "gt", None) is not None:
            low = 1e-6
        high = limit.le if getattr(limit, "le", None) is not None else high
        if getattr(limit, "lt", None) is not None:
            high = limit.lt - (0.01 if limit.lt <= 1 else 1)
    return float(low), float(high)


def _step(default: float) -> float:
    return 10.0 ** -_decimals(default) if default < 0.01 else 0.05 if default < 1 else 1.0


def _decimals(default: float) -> int:
    return 5 if 0 < default < 0.01 else 2 if default < 1 else 1
