"""The settings of a run: one model that makes the form, the command line and the docs.

A field's title and description are the texts of the form; `group` is the form's section, `only` says for which networks
the setting means something: an architecture, "backbone" (those with pretrained weights) or "own" (those without).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from core.balance import NEEDED, imbalance
from core.catalog import find_architecture
from core.datasets import Dataset
from core.errors import SettingsError

GROUPS = ("Training", "Network", "Fine-tuning", "Augmentation")
# What runs did that were started before these were settings.
BEFORE_THEY_WERE_SETTINGS = {
    "label_smoothing": 0.0,
    "weight_decay": 0.0,
    "number_format": "float32",
    "image_size": 150,
    "shift": 0.0,
    "brightness": 0.0,
}
FIXED = ("dataset_id", "architecture", "weights")  # chosen by widgets of their own


def _setting(default: Any, group: str, title: str, help_text: str, *, only: str = "", **limits: Any) -> Any:
    extra: dict[str, Any] = {"group": group, "only": only}
    return Field(default, title=title, description=help_text, json_schema_extra=extra, **limits)


class RunConfig(BaseModel):
    """Everything that decides what a run does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset_id: str = Field(title="Data set")
    architecture: str = Field(title="Architecture")
    weights: str = Field("random", title="Start from", description="`imagenet`, `random`, or the id of an earlier run.")

    epochs: int = _setting(
        15, "Training", "Epochs", "How often every training picture is seen, over all phases.", ge=1, le=500
    )
    batch_size: int = _setting(
        32,
        "Training",
        "Batch size",
        "Pictures per step. Smaller needs less memory and is noisier.",
        ge=1,
        le=512,
    )
    learning_rate: float = _setting(1e-3, "Training", "Learning rate", "Size of the first steps of Adam.", gt=0, le=1.0)
    schedule: Literal["cosine", "plateau", "constant"] = _setting(
        "cosine",
        "Training",
        "Learning-rate schedule",
        "cosine: falls smoothly to near zero over the phase. plateau: halves when validation stops improving. "
        "constant: stays.",
    )
    monitor: Literal["val_accuracy", "val_loss"] = _setting(
        "val_accuracy",
        "Training",
        "Best epoch by",
        "The validation score that decides which epoch's model is kept.",
    )
    patience: int = _setting(
        0,
        "Training",
        "Patience",
        "Stop a phase after this many epochs without improvement; 0 never does: the cosine schedule needs its last "
        "epochs, in which the rate is low, and the best epoch is kept anyway.",
        ge=0,
        le=100,
    )
    label_smoothing: float = _setting(
        0.1,
        "Training",
        "Label smoothing",
        "Share of the target that is spread over all classes: keeps the network from being too sure of itself.",
        ge=0,
        le=0.5,
    )
    weight_decay: float = _setting(
        0.0,
        "Training",
        "Weight decay",
        "Pulls the weights towards zero in every step (AdamW); 0 is plain Adam.",
        ge=0,
        le=0.5,
    )
    class_weights: bool = _setting(
        False,
        "Training",
        "Balance classes",
        "Weighs rare classes more: makes every class count the same in the loss. On by default where the largest class "
        "has more than 1.5 times as many training pictures as the smallest.",
    )
    number_format: Literal["auto", "float32", "mixed_bfloat16"] = _setting(
        "auto",
        "Training",
        "Number format",
        "How numbers are kept while training. auto: the faster one, measured once on this machine for each "
        "architecture. In a pretrained backbone the short format is for its large products alone. The saved and scored "
        "model is float32 always.",
    )
    seed: int = _setting(
        42,
        "Training",
        "Seed",
        "Fixes the starting weights, the order of pictures and the augmentation.",
        ge=0,
        lt=2**31,
    )

    tensorboard: bool = _setting(
        False,
        "Training",
        "TensorBoard's log",
        "Writes the curves also into the run's folder in the form that TensorBoard reads.",
    )

    image_size: int = _setting(
        150,
        "Network",
        "Picture size (pixels)",
        "Side to which every scan is brought. Larger shows finer detail, and takes time and memory with its square.",
        only="own",
        ge=32,
        le=512,
    )
    dropout: float = _setting(
        0.3,
        "Network",
        "Dropout",
        "Share of the last features that is hidden at random in training.",
        ge=0,
        lt=1,
    )
    dense_units: int = _setting(
        128,
        "Network",
        "Dense units",
        "Width of the dense layer before the output.",
        only="custom_cnn",
        ge=8,
        le=2048,
    )
    rescaling: Literal["0..1", "-1..1"] = _setting(
        "-1..1",
        "Network",
        "Rescaling",
        "Range of the pixel values inside the network. Around zero learns much faster.",
        only="custom_cnn",
    )

    fine_tune: bool = _setting(
        True,
        "Fine-tuning",
        "Fine-tune",
        "After the head has learned, train the top of the backbone too.",
        only="backbone",
    )
    head_epochs: int = _setting(
        6,
        "Fine-tuning",
        "Epochs for the head",
        "Epochs with the backbone frozen; the rest fine-tunes. At most half of all epochs, if fine-tuning is on.",
        only="backbone",
        ge=1,
        le=500,
    )
    fine_tune_blocks: int = _setting(
        4,
        "Fine-tuning",
        "Blocks to open",
        "How many blocks of the backbone, from the top.",
        only="backbone",
        ge=1,
        le=16,
    )
    fine_tune_learning_rate: float = _setting(
        1e-4,
        "Fine-tuning",
        "Fine-tuning rate",
        "Low, so that what was learned is not lost.",
        only="backbone",
        gt=0,
        le=0.1,
    )
    augmented_views: int = _setting(
        2,
        "Fine-tuning",
        "Augmented views",
        "Augmented versions of each picture. Two epochs learn from the picture as it is, two from each of these, and "
        "so on; the backbone features of each are computed once, before the first epoch that needs them.",
        only="backbone",
        ge=0,
        le=32,
    )

    augment: bool = _setting(
        True, "Augmentation", "Augment", "Shows each training picture slightly changed in every epoch."
    )
    rotation: float = _setting(10.0, "Augmentation", "Rotation (degrees)", "Largest turn to either side.", ge=0, le=180)
    zoom: float = _setting(
        0.1, "Augmentation", "Zoom (fraction)", "Largest change of size; 0.1 is ±10 %.", ge=0, le=0.5
    )
    shift: float = _setting(
        0.0,
        "Augmentation",
        "Shift (fraction)",
        "Largest shift in both directions, as a part of the width.",
        ge=0,
        le=0.5,
    )
    brightness: float = _setting(
        0.0, "Augmentation", "Brightness (fraction)", "Largest change of contrast and brightness.", ge=0, le=0.5
    )
    horizontal_flip: bool = _setting(True, "Augmentation", "Mirror left and right", "Mirrors half of the pictures.")


def settings_for(architecture: str) -> dict[str, FieldInfo]:
    """The settings that mean something for an architecture, by name, in the order of the form."""
    entry = find_architecture(architecture)
    shown = {"", architecture, "backbone" if entry.has_backbone else "own"}
    return {
        name: field
        for name, field in RunConfig.model_fields.items()
        if name not in FIXED and _extra(field)["only"] in shown
    }


def group_of(field: FieldInfo) -> str:
    """Section of the form that a setting stands in."""
    return str(_extra(field)["group"])


def default_config(dataset: Dataset, architecture: str) -> RunConfig:
    """Defaults that fit the network and the data set."""
    entry = find_architecture(architecture)
    counts = dataset.splits["train"]
    n_train = sum(counts.values())
    values: dict[str, Any] = {
        "dataset_id": dataset.dataset_id,
        "architecture": architecture,
        "weights": "imagenet" if entry.has_backbone else "random",
        "batch_size": 32 if n_train >= 500 else 16 if n_train >= 100 else 8,
        "class_weights": imbalance(counts) > NEEDED,
        "image_size": entry.input_size,
    }
    return RunConfig.model_validate(values | dict(entry.defaults))


def input_size(config: RunConfig) -> int:
    """Side of the pictures that a run's network sees; a backbone keeps the one that it has learned with."""
    entry = find_architecture(config.architecture)
    return entry.input_size if entry.has_backbone else config.image_size


def make_config(dataset: Dataset, architecture: str, changes: dict[str, Any]) -> RunConfig:
    """Defaults with changes; text values are converted.

    Raises:
        SettingsError: a setting is unknown or its value cannot be used.
    """
    values = default_config(dataset, architecture).model_dump() | changes
    return parse_config(values)


def parse_config(values: dict[str, Any]) -> RunConfig:
    """Check the settings of a run.

    Raises:
        SettingsError: a setting is unknown or its value cannot be used.
    """
    try:
        config = RunConfig.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None
    find_architecture(config.architecture)
    return config


def _extra(field: FieldInfo) -> dict[str, Any]:
    extra = field.json_schema_extra
    return extra if isinstance(extra, dict) else {"group": "", "only": ""}


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = ", ".join(name for name in RunConfig.model_fields if name not in FIXED)
        return f"There is no setting {name!r}. Known are: {known}."
    return f"Setting {name!r}: {first['msg']}. Received: {first['input']!r}. Correct the value."
