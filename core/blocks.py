"""Names of the layers of a network at which it can be cut: what lies in front is frozen, what lies behind learns.

No Keras here: features at a cut are computed by ONNX Runtime, and the cost of a run is estimated, without it.
"""

from __future__ import annotations

POOLED = "pooled_features"
PROBABILITIES = "probabilities"


def cut_for(architecture: str, n_blocks: int) -> str:
    """Name of the layer below the top n blocks of a backbone; the lowest one it has, if it has fewer."""
    outputs = BLOCK_OUTPUTS[architecture]
    return outputs[max(len(outputs) - 1 - n_blocks, 0)]


def _mobilenet_v2() -> tuple[str, ...]:
    widened = {1, 3, 6, 10, 13, 16}  # blocks that change the shape have nothing to add to
    last = [f"block_{number}_{'project_BN' if number in widened else 'add'}" for number in range(1, 17)]
    return ("expanded_conv_project_BN", *last)


def _resnet50_v2() -> tuple[str, ...]:
    stages = {2: 3, 3: 4, 4: 6, 5: 3}
    last = [f"conv{stage}_block{number}_out" for stage, n in stages.items() for number in range(1, n + 1)]
    return ("pool1_pool", *last)


def _efficientnet_v2_b0() -> tuple[str, ...]:
    last = ["block1a_project_activation"]
    for stage, n in {2: 2, 3: 2, 4: 3, 5: 5, 6: 8}.items():
        last += [f"block{stage}a_project_bn", *[f"block{stage}{chr(97 + at)}_add" for at in range(1, n)]]
    return ("stem_activation", *last)


def _densenet121() -> tuple[str, ...]:
    """Its 58 dense layers are too fine to choose among: four of them are a block here, the first six are one.

    Behind the last of a stage comes a transition that halves the picture, so that is where a stage ends.
    """
    last = ["pool2_pool"]
    for stage, n in {3: 12, 4: 24, 5: 16}.items():
        last += [f"conv{stage}_block{number}_concat" for number in range(4, n, 4)]
        last.append(f"pool{stage}_pool" if stage < 5 else f"conv5_block{n}_concat")
    return ("pool1", *last)


BLOCK_OUTPUTS = {
    "mobilenet_v2": _mobilenet_v2(),
    "resnet50_v2": _resnet50_v2(),
    "efficientnet_v2_b0": _efficientnet_v2_b0(),
    "densenet121": _densenet121(),
}
"""Architecture -> outputs of its blocks, bottom to top, the last one included: layers behind which everything else
hangs on their output alone."""
