"""The time left of a phase, from how long its steps take.

The first step of a phase, and the first of its validations, is left out: TensorFlow makes its graph in it, and no other
takes as long.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from statistics import fmean

_EPOCHS = 3  # that are remembered: beside other work a machine changes its pace
_VALIDATION_SHARE = 0.1  # of the training part of an epoch, until a validation was seen


class Pace:
    """Hears of the events of a phase and says how long the rest takes.

    Args:
        n_steps: training steps of an epoch.
        clock: seconds, from any moment.
    """

    def __init__(self, n_steps: int, clock: Callable[[], float] = time.time) -> None:
        self._clock, self._epochs_left = clock, 0
        self._training, self._validation = _Steps(n_steps), _Steps(0)
        self._pauses: deque[float] = deque(maxlen=_EPOCHS)  # seconds of an epoch that belong to no step
        self._mark = self._pause = 0.0

    def begin_epoch(self, epochs_left: int) -> None:
        """An epoch begins; so many are left of the phase, this one among them."""
        self._epochs_left = epochs_left
        self._mark, self._pause = self._clock(), 0.0

    def end_step(self) -> None:
        """A training step has ended."""
        self._training.add(self._lap())

    def begin_validation(self) -> None:
        """The training part of an epoch has ended."""
        self._pause += self._lap()

    def end_validation_step(self) -> None:
        """A step of validation has ended."""
        self._validation.add(self._lap())

    def end_epoch(self) -> None:
        """An epoch has ended, with all that is done at its end."""
        self._validation.n_steps = self._validation.n_done
        self._pauses.append(self._pause + self._lap())
        self._epochs_left -= 1
        self._training.n_done = self._validation.n_done = 0

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the end of the phase; None before its second step, when nothing can be told."""
        step = self._training.seconds
        if step is None:
            return None
        # A validation step cannot take longer than a training step: so much is known of the first, which is slow.
        validation_step = min(self._validation.seconds or step, step)
        if self._pauses:
            rest = validation_step * self._validation.n_steps + fmean(self._pauses)
        else:
            rest = _VALIDATION_SHARE * step * self._training.n_steps
        done = step * self._training.n_done + validation_step * self._validation.n_done
        return max((step * self._training.n_steps + rest) * self._epochs_left - done, 0.0)

    def _lap(self) -> float:
        before, self._mark = self._mark, self._clock()
        return self._mark - before


class _Steps:
    """Steps of one kind: how many an epoch has, how many of them are done, and how long one takes."""

    def __init__(self, n_steps: int) -> None:
        self.n_steps, self.n_done = n_steps, 0
        self._first: float | None = None
        self._others: deque[float] = deque()

    def add(self, seconds: float) -> None:
        """Another one is done."""
        self.n_done += 1
        if self._first is None:
            self._first = seconds
            return
        self._others.append(seconds)
        if len(self._others) > _EPOCHS * max(self.n_steps, self.n_done):
            self._others.popleft()

    @property
    def seconds(self) -> float | None:
        """Of a step; None while it cannot be told. An epoch of one step has the first only."""
        if self._others:
            return fmean(self._others)
        return self._first if self.n_steps <= 1 else None
