"""Heat maps: where in a picture the evidence for a class lies. NumPy only.

Grad-CAM (R. R. Selvaraju et al., 2017, doi:10.1109/ICCV.2017.74) weighs the channels of the last convolution by the
mean gradient of the class score. For the heads used here that mean has a closed form, which the exported model gives as
`channel_weights` (see `core.ml.export`), so nothing has to be differentiated.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

# Dark violet to yellow over red: readable on grey, in print and with colour blindness.
_STOPS = np.array([(0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164)], float)


def compute_heatmap(activation: np.ndarray, channel_weights: np.ndarray, target_class: int) -> np.ndarray:
    """Grad-CAM of the score (before softmax) of a class.

    Args:
        activation: (height, width, channels).
        channel_weights: (n_classes, channels).

    Returns:
        float32 (height, width), 0 to 1; all zero where nothing speaks for the class.
    """
    heat = np.maximum(activation @ channel_weights[target_class], 0)
    highest = float(heat.max())
    return (heat / highest if highest > 0 else heat).astype(np.float32)


def overlay_heatmap(scan: np.ndarray, heatmap: np.ndarray, strength: float) -> np.ndarray:
    """Lay a heat map over a picture: uint8 (height, width, 3).

    Args:
        strength: 0 shows the picture alone, 1 the heat alone where it is highest.
    """
    height, width = scan.shape[:2]
    scaled = Image.fromarray(np.rint(heatmap * 255).astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    heat = np.asarray(scaled, dtype=np.float32) / 255
    picture = scan if scan.ndim == 3 else np.repeat(scan[:, :, None], 3, axis=2)
    opacity = (strength * heat)[:, :, None]
    return np.clip(np.rint(picture * (1 - opacity) + colorize(heat) * opacity), 0, 255).astype(np.uint8)


def colorize(values: np.ndarray) -> np.ndarray:
    """Colours for values of 0 to 1: float (…, 3), 0 to 255."""
    positions = np.linspace(0, 1, len(_STOPS))
    return np.stack([np.interp(values, positions, _STOPS[:, channel]) for channel in range(3)], axis=-1)
