"""Many people at once beside a training: predictions, the watching of a run, and page switches meanwhile.

The people are tabs without a browser (`benchmarks/client.py`) on a real server. Those who predict upload pictures of
their own and compare what the page shows with what the model says; those who watch let the page's timer run; one more
switches pages. Times are the server's alone: nothing is drawn.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from benchmarks.client import Tab, TabError, open_tab
from benchmarks.studio import say, serving, workspace
from core.config import make_config
from core.control import start_run, stop_run
from core.datasets import Dataset
from core.importing import create_import, run_import
from core.jobs import DISCARD
from core.prediction import load_classifier
from core.runs import Run, read_run
from core.samples import CLASSES, draw_phantom
from core.scans import decode_scan
from core.ui.text import percent, plain

_EVERY = 5.0  # seconds from one upload of a person to the next
_THINKING = 1.0  # seconds between two page switches
_PICTURES = 6  # of each person, again and again under new names
_SECONDS_ALONE = 30.0  # for the page switches beside nobody
_TOLERANCE = 1e-4  # of a probability
_LINKS = ("Dataset", "Predict")


@dataclass(frozen=True)
class Scan:
    """A picture, and the answer that is right."""

    data: bytes
    class_name: str
    probabilities: np.ndarray


@dataclass
class Seen:
    """What people have seen in one case; times in seconds."""

    people: str
    predictions: list[float] = field(default_factory=list)
    mixed_up: int = 0
    polls: list[float] = field(default_factory=list)
    switches: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    cores: float = 0.0
    memory_mb: float = 0.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the command line."""
    parser.add_argument("--predicting", type=int, default=50, help="people who predict a scan every five seconds")
    parser.add_argument("--watching", type=int, default=10, help="people who watch the training")
    parser.add_argument("--seconds", type=float, default=120, help="length of each case")
    parser.add_argument("--together", action="store_true", help="also all of them at once")


def run(options: argparse.Namespace) -> None:
    """Measure each case and print what was seen."""
    n_predicting, n_watching = options.predicting, options.watching
    cases = [(0, 0), (n_predicting, 0), (0, n_watching)] + [(n_predicting, n_watching)] * options.together
    with workspace() as home:
        dataset = run_import(create_import(images_per_class=200))
        model = _train(dataset)
        scans = _draw_scans(model, n_predicting)
        log, training = home / "server.log", _start_training(dataset)
        try:
            with serving(log) as (url, process):
                room, server = Room(url, model, training, scans), psutil.Process(process.pid)
                seen = [_measure(room, server, *case, options.seconds) for case in dict.fromkeys(cases)]
        finally:
            stop_run(training.run_id, DISCARD)
            _wait(lambda: not training.folder.exists())
        _print(seen, log)


@dataclass(frozen=True)
class Room:
    """Where people meet: the server, the model they ask, the training they watch, and their pictures."""

    url: str
    model: Run
    training: Run
    scans: list[list[Scan]]


def _train(dataset: Dataset) -> Run:
    """The model to ask."""
    say("Training a model")
    run = start_run(dataset, make_config(dataset, "custom_cnn", {"epochs": 3}))
    _wait(lambda: not read_run(run.run_id).status.is_alive)
    run = read_run(run.run_id)
    if not run.has_scores:
        raise SystemExit(f"The training {run.state}: {run.status.error}")
    return run


def _start_training(dataset: Dataset) -> Run:
    """The training beside everything."""
    run = start_run(dataset, make_config(dataset, "custom_cnn", {"epochs": 500, "patience": 0}))
    _wait(lambda: "epoch" in read_run(run.run_id).status.progress or not read_run(run.run_id).status.is_alive)
    return run


def _wait(is_true: Callable[[], bool]) -> None:
    while not is_true():
        time.sleep(0.2)


def _draw_scans(model: Run, people: int) -> list[list[Scan]]:
    """Pictures for each person, no two alike."""
    say("Drawing scans")
    classifier = load_classifier(model)

    def draw(person: int, number: int) -> Scan:
        buffer = io.BytesIO()
        Image.fromarray(draw_phantom(number % len(CLASSES), (1, person, number))).save(buffer, "PNG")
        data = buffer.getvalue()
        probabilities = classifier.predict([decode_scan(data, "scan.png").pixels])[0]
        return Scan(data, classifier.class_names[int(probabilities.argmax())], probabilities)

    return [[draw(person, number) for number in range(_PICTURES)] for person in range(people)]


def _measure(room: Room, server: psutil.Process, predicting: int, watching: int, seconds: float) -> Seen:
    """One case: so many people who predict and who watch, and one who switches pages."""
    people = [f"{n} {what}" for n, what in ((predicting, "predict"), (watching, "watch")) if n]
    seen = Seen(", ".join(people) or "nobody else")
    seconds = seconds if people else min(seconds, _SECONDS_ALONE)
    say(f"{seen.people}: {seconds:.0f} s")
    busy, started = sum(server.cpu_times()[:2]), time.perf_counter()
    asyncio.run(_meet(room, seen, predicting, watching, started + seconds))
    seen.cores = (sum(server.cpu_times()[:2]) - busy) / (time.perf_counter() - started)
    seen.memory_mb = server.memory_info().rss / 2**20
    if not read_run(room.training.run_id).status.is_alive:
        raise SystemExit("The training beside it has ended.")
    return seen


async def _meet(room: Room, seen: Seen, predicting: int, watching: int, end: float) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_keep_on(seen, end, lambda: _switch(room, seen, end)))
        for person in range(predicting):
            group.create_task(_keep_on(seen, end, lambda at=person: _predict(room, seen, at, end)))  # type: ignore[misc]
        for _ in range(watching):
            group.create_task(_keep_on(seen, end, lambda: _watch(room, seen, end)))


async def _keep_on(seen: Seen, end: float, visit: Callable[[], Awaitable[None]]) -> None:
    """Come at a moment of one's own, and come again after an error."""
    await asyncio.sleep(random.uniform(0, min(_EVERY, (end - time.perf_counter()) / 4)))
    while time.perf_counter() < end:
        try:
            await visit()
        except TabError as error:
            seen.errors[str(error)] += 1
            await asyncio.sleep(1)


async def _predict(room: Room, seen: Seen, person: int, end: float) -> None:
    async with open_tab(room.url, "Predict", f"run={room.model.run_id}") as tab:
        number = 0
        while (started := time.perf_counter()) < end:
            scan, name = room.scans[person][number % _PICTURES], f"person-{person}-scan-{number}.png"
            await tab.upload("scans", name, scan.data)
            seen.predictions.append(time.perf_counter() - started)
            _take_errors(tab, seen)
            seen.mixed_up += not _is_right(tab, name, scan)
            number += 1
            await asyncio.sleep(max(_EVERY - (time.perf_counter() - started), 0))


def _is_right(tab: Tab, name: str, scan: Scan) -> bool:
    """Whether the page shows this picture's name, class and probabilities."""
    shown = [element.metric for element in tab.elements("metric") if element.metric.label == "Predicted class"]
    names = [element.text.body for element in tab.elements("text")]
    bars = [json.loads(element.plotly_chart.spec)["data"][0]["x"] for element in tab.elements("plotly_chart")]
    answer = [(plain(scan.class_name), percent(float(scan.probabilities.max())))]
    is_same = len(bars) == 1 and np.allclose(bars[0], scan.probabilities, rtol=0, atol=_TOLERANCE)
    return is_same and name in names and [(metric.body, metric.delta) for metric in shown] == answer


async def _watch(room: Room, seen: Seen, end: float) -> None:
    async with open_tab(room.url, "Train", f"view=live&run={room.training.run_id}") as tab:
        await tab.stay(end - time.perf_counter())
        seen.polls += tab.polls
        _take_errors(tab, seen)
        if not tab.polls:
            raise TabError("the page of a run was not drawn anew")


async def _switch(room: Room, seen: Seen, end: float) -> None:
    async with open_tab(room.url, _LINKS[-1]) as tab:
        for link in _LINKS:  # first visits import and cache
            await tab.switch(link)
        while time.perf_counter() < end:
            link = _LINKS[len(seen.switches) % len(_LINKS)]
            started = time.perf_counter()
            await tab.switch(link)
            seen.switches.append(time.perf_counter() - started)
            _take_errors(tab, seen)
            await asyncio.sleep(_THINKING)


def _take_errors(tab: Tab, seen: Seen) -> None:
    seen.errors.update(tab.errors)
    tab.errors.clear()


def _print(cases: list[Seen], log: Path) -> None:
    print("| beside a training | predictions | mixed up | p50, s | p95, s | max, s | errors | server, cores | MB |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for seen in cases:
        times = " | ".join(_quantile(seen.predictions, at) for at in (0.5, 0.95, 1))
        load = f"{sum(seen.errors.values())} | {seen.cores:.2f} | {seen.memory_mb:.0f}"
        print(f"| {seen.people} | {len(seen.predictions)} | {seen.mixed_up} | {times} | {load} |")
    print("\n| beside a training | updates | p50, s | p95, s | page switches | median, s | max, s |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for seen in cases:
        updates = " | ".join([str(len(seen.polls)), *(_quantile(seen.polls, at) for at in (0.5, 0.95))])
        switches = " | ".join([str(len(seen.switches)), *(_quantile(seen.switches, at) for at in (0.5, 1))])
        print(f"| {seen.people} | {updates} | {switches} |")
    print(f"\nTracebacks in the server's log: {log.read_text(errors='replace').count('Traceback')}")
    for error, n in sum((seen.errors for seen in cases), Counter[str]()).most_common():
        print(f"- {n} × {error}")


def _quantile(seconds: list[float], at: float) -> str:
    return f"{np.quantile(seconds, at):.2f}" if seconds else "–"
