"""Options of a backbone's training on the corpus' own training clips."""

from pydantic import Field

from emopipe.core.options import Number, Options


class PretrainOptions(Options):
    """Out-of-fold training on the training clips of the corpus.

    One network is trained on all training clips and extracts the features of the other splits. For each fold, one more
    network is trained without that fold and extracts its features. So fusion is never trained on features of clips that
    the network was trained on, which would be too optimistic.
    """

    folds: int = Field(default=3, ge=2)
    """Number of folds of the training clips: by subject if subjects are known, else stratified by class."""
    epochs: int = Field(default=15, ge=1)
    """Passes over the faces or sounds of the training clips."""
    batch: int = Field(default=64, ge=2)
    """Faces or segments of sound per optimizer step."""
    lr: Number = Field(default=2e-3, gt=0)
    """Peak learning rate of AdamW with a one-cycle cosine schedule."""
    weight_decay: Number = Field(default=0.05, ge=0)
    """Weight decay of AdamW."""
    label_smoothing: Number = Field(default=0.1, ge=0, lt=1)
    """Share of the target that is spread evenly over all classes."""
    dropout: Number = Field(default=0.3, ge=0, lt=1)
    """Dropout before the classifier, which is added for training."""
    seconds: Number = Field(default=2.5, gt=0)
    """Length in seconds of the segments of sound that an audio network is trained on."""
    seed: int = 0
    """Seed of the initial weights, the order of the samples and the augmentation; the same for every fold."""
