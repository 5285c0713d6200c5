"""Which backbones have an emotion head, as far as a plan knows, and the models that need one."""

from collections.abc import Mapping

from emopipe.backbones.head_in_file import has_classifier
from emopipe.core.errors import ConfigError
from emopipe.fusion.options import POOLS, needs_head
from emopipe.workflow.config import BackboneBlock, ModelBlock, modality


def has_head(block: BackboneBlock) -> bool:
    """Return whether a backbone's network has an emotion head: it is trained in the run, or its weights hold one."""
    if block.pretrain or block.schedule:
        return True
    return bool(block.weights) and has_classifier(block.weights)


def check_heads(models: Mapping[str, ModelBlock], backbones: Mapping[str, BackboneBlock]) -> None:
    """Refuse models that read what an emotion head gives, of backbones without one.

    Raises:
        ConfigError: There is such a model.
    """
    for name, block in models.items():
        needing = [stream for stream in block.streams if needs_head(block, modality(backbones[stream]))]
        without = [stream for stream in needing if not has_head(backbones[stream])]
        if without:
            what = (
                f"models.{name}.fusion is {block.fusion}, which needs"
                if block.fusion in POOLS
                else f"models.{name} reads log-probabilities, confidence or entropy (inputs, statistics), which need"
            )
            raise ConfigError(
                f"{what} backbones with an emotion head, but {', '.join(without)} has none. Use a network that emopipe "
                "trained (weights, schedule or pretrain of the backbone), or change the model."
            )
