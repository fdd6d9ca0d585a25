"""The phases of a training: which layers learn, for how many epochs, at which rate."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.blocks import POOLED, cut_for
from core.catalog import find_architecture
from core.config import RunConfig


@dataclass(frozen=True)
class Phase:
    """A part of a training.

    Attributes:
        first, last: numbers of its epochs, from 1, across phases.
        cut: layer behind which the network learns; None for all of it.
    """

    name: str
    first: int
    last: int
    learning_rate: float
    cut: str | None = None

    @property
    def n_epochs(self) -> int:
        """Number of its epochs."""
        return self.last - self.first + 1


def starts_pretrained(config: RunConfig) -> bool:
    """Whether there is a backbone that has learned something before, so that freezing it makes sense."""
    return find_architecture(config.architecture).has_backbone and config.weights != "random"


def plan_phases(config: RunConfig, continued: tuple[int, ...] = ()) -> tuple[Phase, ...]:
    """The phases of a run, in order.

    Args:
        continued: epochs of each time that it was continued beyond its plan; each is a phase like the last one.
    """
    phases = list(_planned(config))
    for n_epochs in continued:
        last = phases[-1]
        phases.append(replace(last, first=last.last + 1, last=last.last + n_epochs))
    return tuple(phases)


def _planned(config: RunConfig) -> tuple[Phase, ...]:
    if not starts_pretrained(config):
        return (Phase("training", 1, config.epochs, config.learning_rate),)
    n_head = config.epochs
    if config.fine_tune and config.epochs > 1:
        n_head = min(config.head_epochs, config.epochs // 2)
    head = Phase("head", 1, n_head, config.learning_rate, POOLED)
    if n_head == config.epochs:
        return (head,)
    cut = cut_for(config.architecture, config.fine_tune_blocks)
    return (head, Phase("fine-tuning", n_head + 1, config.epochs, config.fine_tune_learning_rate, cut))


def frozen_layers(config: RunConfig) -> tuple[str, ...]:
    """The cuts of all phases: layers whose outputs do not change during a phase. Empty if all layers learn."""
    return tuple(phase.cut for phase in plan_phases(config) if phase.cut)
