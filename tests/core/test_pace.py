"""Time left, with a clock that is set by hand: a phase as TensorFlow goes through it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.pace import Pace

N_STEPS, N_VALIDATION = 20, 4
TRACE, STEP, VALIDATION_TRACE, VALIDATION_STEP, SAVE = 6.0, 0.1, 2.0, 0.05, 0.3
EPOCH = N_STEPS * STEP + N_VALIDATION * VALIDATION_STEP + SAVE


def go_through(
    n_epochs: int, n_steps: int = N_STEPS, n_validation: int = N_VALIDATION
) -> Iterator[tuple[str, float, Pace]]:
    """Play a phase; gives what has just ended, the time, and the pace after every event."""
    now = 1000.0
    pace = Pace(n_steps, lambda: now)
    for epoch in range(n_epochs):
        pace.begin_epoch(n_epochs - epoch)
        for at in range(n_steps):
            now += STEP + (TRACE if epoch == at == 0 else 0.0)
            pace.end_step()
            yield "step", now, pace
        pace.begin_validation()
        for at in range(n_validation):
            now += VALIDATION_STEP + (VALIDATION_TRACE if epoch == at == 0 else 0.0)
            pace.end_validation_step()
            yield "validation step", now, pace
        now += SAVE
        pace.end_epoch()
        yield "epoch", now, pace


def compare(n_epochs: int, **sizes: int) -> list[tuple[str, float | None, float]]:
    """What has just ended, the time left as it was said, and as it came true."""
    said = [(what, now, pace.seconds_left) for what, now, pace in go_through(n_epochs, **sizes)]
    end = said[-1][1]
    return [(what, left, end - now) for what, now, left in said]


def test_nothing_is_said_after_the_first_step_because_it_makes_the_graph() -> None:
    said = compare(3)
    assert said[0][1] is None
    assert said[1][1] is not None


def test_the_time_left_is_right_after_the_first_epoch_with_validation_and_all() -> None:
    after = [(left, true) for what, left, true in compare(5) if what == "epoch"]
    assert [true for _, true in after] == pytest.approx([4 * EPOCH, 3 * EPOCH, 2 * EPOCH, EPOCH, 0.0])
    for left, true in after:
        assert left == pytest.approx(true)


def test_it_is_near_before_a_validation_was_seen() -> None:
    for _, left, true in compare(10)[1:N_STEPS]:
        assert left is not None
        assert 0.8 * true < left < 1.2 * true


def test_it_falls_with_every_step_of_later_epochs() -> None:
    later = [left or 0.0 for _, left, _ in compare(3)][N_STEPS + N_VALIDATION + 1 :]
    assert later == sorted(later, reverse=True)


def test_an_epoch_of_one_step_is_estimated_too() -> None:
    said = compare(4, n_steps=1, n_validation=1)
    assert said[0][1] == pytest.approx((TRACE + STEP) * 1.1 * 4 - TRACE - STEP)
    last = said[-4]
    assert last[1] == pytest.approx(last[2], rel=0.2)


def test_it_follows_a_machine_that_becomes_slower() -> None:
    now = 0.0
    pace = Pace(N_STEPS, lambda: now)
    for epoch in range(8):
        pace.begin_epoch(12 - epoch)
        for _ in range(N_STEPS):
            now += 1.0 if epoch < 4 else 2.0
            pace.end_step()
        pace.begin_validation()
        pace.end_epoch()
    assert pace.seconds_left == pytest.approx(4 * N_STEPS * 2.0, rel=0.11)
