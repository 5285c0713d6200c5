"""What pretraining on a corpus will hold in memory and look at, as far as its plan tells."""

from emopipe.backbones.base import FaceInput, Spec
from emopipe.media.decoded import DecodeOptions
from emopipe.training.options import PretrainOptions

CLIP_SECONDS = 6.0
"""How long a clip is taken to be: the plan has looked into none, and corpora of emotions have few longer ones."""
FRAMES_A_SECOND = 30.0


def frames(decode: DecodeOptions) -> int:
    """Frames that are sampled of a clip."""
    if decode.count is not None:
        return min(decode.count, decode.max_frames)
    return min(round(CLIP_SECONDS * float(decode.fps or FRAMES_A_SECOND)), decode.max_frames)


def held_megabytes(clips: int, spec: Spec, decode: DecodeOptions) -> float:
    """What the samples of so many clips take, as `emopipe.training.face_clips` and `.audio` hold them."""
    from emopipe.training.augment_image import held_side  # torch is slow to import

    if isinstance(spec.input, FaceInput):
        each = frames(decode) * held_side(spec.input.size) ** 2 * spec.input.channels
    else:
        each = 2 * _numbers_a_second(spec) * min(CLIP_SECONDS, float(decode.max_audio_seconds))  # half precision
    return clips * each / 1e6


def seen(clips: int, spec: Spec, decode: DecodeOptions, options: PretrainOptions) -> int:
    """Samples that all networks together are trained on, counted each time anew."""
    samples = frames(decode) if spec.modality == "face" else 1
    return clips * samples * options.epochs * (options.folds + 1)


def _numbers_a_second(spec: Spec) -> float:
    """Of a picture, all its channels; of a sound itself, its samples."""
    drawn = getattr(spec.input, "options", None)
    if drawn is None:
        return spec.input.rate
    rows = 3 * drawn.n_mels if drawn.kind == "logmel" else drawn.bins
    return rows * 1000 / drawn.hop_ms
