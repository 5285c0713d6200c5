"""What a run cannot do with labels of its kind: several classes for a clip, or numbers."""

from collections.abc import Collection, Mapping

from emopipe.core.errors import ConfigError
from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.core.validation import Faults
from emopipe.fusion.checks import ENSEMBLE, check_ensemble_labels, check_model_labels
from emopipe.fusion.options import EnsembleOptions, FusionOptions


def check(
    space: LabelSpace,
    faults: Faults,
    *,
    pretrained: Collection[str],
    models: Mapping[str, FusionOptions],
    ensembles: Mapping[str, EnsembleOptions],
    paper_figures: bool,
) -> None:
    """Collect what a config asks for and its label space does not allow.

    Args:
        space: The label space.
        faults: Takes an error for each fault.
        pretrained: The backbones that are trained on the corpus' own clips.
        models: The blocks of the models.
        ensembles: The blocks of all ensembles.
        paper_figures: Whether tables are to show the figures of the paper.
    """
    with faults.collected():
        if paper_figures and space != BASIC7:
            raise ConfigError(
                f"paper_figures is true, but labels has {', '.join(space.names)} (kind {space.kind}). The paper's "
                "figures are of the seven classes of AFEW. Remove paper_figures, or remove labels."
            )
    for name in pretrained if not space.has_one_class else ():
        with faults.collected():
            raise ConfigError(
                f"backbones.{name}.pretrain is set, but labels.kind is {space.kind}. A network can be trained on the "
                "corpus' own clips for the kinds single and votes. Remove pretrain, or change labels.kind."
            )
    for name, block in models.items():
        with faults.collected():
            check_model_labels(f"models.{name}", block, space)
    for name, block in ensembles.items():
        with faults.collected():
            check_ensemble_labels(name if name == ENSEMBLE else f"ensembles.{name}", block, space)
