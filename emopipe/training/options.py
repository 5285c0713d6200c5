"""How a backbone is trained on the corpus' own training clips."""

from pydantic import Field

from emopipe.core.options import Number, Options


class PretrainOptions(Options):
    """Training on the corpus' training clips, out of fold.

    One network is trained on all training clips: it extracts the other splits. One more network a fold is trained
    without that fold: it extracts the fold, so that fusion never learns from features of clips that the network
    has fitted (those are inflated).
    """

    folds: int = Field(default=3, ge=2)
    """Folds of the training clips, by subject where subjects are known, else stratified by class."""
    epochs: int = Field(default=15, ge=1)
    """Passes over the training clips' faces or sounds."""
    batch: int = Field(default=64, ge=2)
    """Faces or stretches of sound a step."""
    lr: Number = Field(default=2e-3, gt=0)
    """Peak learning rate of AdamW under a one-cycle cosine schedule."""
    weight_decay: Number = Field(default=0.05, ge=0)
    """AdamW's weight decay."""
    label_smoothing: Number = Field(default=0.1, ge=0, lt=1)
    """Share of the target that is spread over all classes."""
    dropout: Number = Field(default=0.3, ge=0, lt=1)
    """Dropout before the classifier that training adds."""
    seconds: Number = Field(default=2.5, gt=0)
    """Length of the stretches of sound that an audio network is trained on."""
    seed: int = 0
    """Seed of initial weights, order and augmentation; the same for every fold."""
