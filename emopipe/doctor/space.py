"""Disk space and memory, against what a config's corpus is estimated to need.

The rule for the disk, a clip (see docs/doctor.md): sampled frames of 720 x 576 pixels or less, at 0.2 bytes a pixel; 6
seconds of sound; a crop of 256 x 256 pixels for each frame, at 0.35 bytes a pixel; vectors of 4 bytes a number, twice,
because they are kept by shard and merged. Weights and results are small beside that and are not counted.
"""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
import psutil

from emopipe.backbones import registry as backbones
from emopipe.backbones.seeds import backbone_of
from emopipe.cache.usage import files_in, size
from emopipe.core.errors import EmopipeError
from emopipe.doctor.check import Check
from emopipe.faces.alignment import CANONICAL_SIDE
from emopipe.media.decoded import AUDIO_RATE, DecodeOptions
from emopipe.workflow import first_available, resources, scan
from emopipe.workflow.config import BackboneBlock, Config, modality

FRAME = (720, 576)
"""Assumed size of a frame in pixels, that of AFEW."""
FRAME_BYTES_PER_PIXEL, CROP_BYTES_PER_PIXEL = 0.2, 0.35
"""Assumed sizes of JPEGs: of frames at quality 92, of crops at quality 95."""
VECTORS_PER_SECOND, DIM = 4, 512
"""Assumed vectors of a network on sound, and length of a vector if the network is not available yet."""
BASE_BYTES = 2e9
"""Memory of any job: the libraries, a network and a batch."""
TIGHT = 0.8
"""Above this part of what there is, a need is a warning."""


def checks(config: Config | None = None) -> Iterator[Check]:
    """Yield the checks of disk and memory; without a config, they say what there is."""
    memory = psutil.virtual_memory().total
    if config is None:
        free = shutil.disk_usage(Path.cwd()).free
        yield Check("space", "disk", "ok", f"{_gigabytes(free)} are free in {Path.cwd()}.")
        yield Check("space", "memory", "ok", f"This machine has {_gigabytes(memory)} of memory.")
        return
    try:
        table = clip_table(config)
    except EmopipeError as error:
        todo = "Correct corpus_root or the corpus; --corpus-root names its folder."
        yield Check("space", "corpus", "problem", str(error), todo)
        return
    yield Check("space", "corpus", "ok", f"{len(table)} clips in {scan.clips_root(config)}.")
    folder = scan.cache_folder(config)
    existing = size(files_in([folder])) if folder.is_dir() else 0
    yield disk(cache_bytes(config, len(table)), existing, shutil.disk_usage(_existing(folder)).free)
    yield memory_of(needs(config, len(table), int((table["split"] == "train").sum())), memory)


def clip_table(config: Config) -> pd.DataFrame:
    """Return the clip table of a config's corpus. The clips' contents are not read.

    Raises:
        CorpusError: As `emopipe.corpora.scan`.
    """
    return scan.clips(config)


# -- disk ---


def cache_bytes(config: Config, clips: int) -> float:
    """Return the estimated bytes of a config's cache for this many clips."""
    media = sum(map(media_bytes, config.decode.values()))
    crops = sum(
        resources.frames(config.decode[block.decode]) * CROP_BYTES_PER_PIXEL * CANONICAL_SIDE**2
        for block in config.faces.values()
    )
    vectors = sum(2 * vector_bytes(config, block) for block in config.backbones.values())
    return clips * (media + crops + vectors)


def media_bytes(decode: DecodeOptions) -> float:
    """Return the estimated bytes of a clip's sampled frames and sound."""
    scale = min(1.0, decode.max_side / max(FRAME))
    frame = FRAME_BYTES_PER_PIXEL * FRAME[0] * FRAME[1] * scale**2
    seconds = min(resources.CLIP_SECONDS, float(decode.max_audio_seconds))
    return resources.frames(decode) * frame + 2 * AUDIO_RATE * seconds


def vector_bytes(config: Config, block: BackboneBlock) -> float:
    """Return the estimated bytes of a clip's vectors by one backbone, with those of its views."""
    if modality(block) == "face":
        rows = resources.frames(config.decode[config.faces[block.faces].decode])
    else:
        rows = round(VECTORS_PER_SECOND * resources.CLIP_SECONDS)
    try:
        dim = backbones.spec(block.kind, backbones.options_class(block.kind).model_validate(block.options)).dim
    except (EmopipeError, OSError, ValueError):  # its weights or its package are missing; another check says so
        dim = DIM
    return 4.0 * rows * dim * (1 + len(block.views))


def disk(needed: float, existing: float, free: float) -> Check:
    """Return whether the cache fits on the disk.

    Args:
        needed: Estimated bytes of the whole cache.
        existing: Bytes that it takes already.
        free: Free bytes.
    """
    more = max(0.0, needed - existing)
    found = (
        f"The cache will take about {_gigabytes(needed)}, of which {_gigabytes(existing)} exist; "
        f"{_gigabytes(free)} are free."
    )
    todo = (
        "Free some space, work in a folder on a larger disk, set keep_media: false, lower the frames of each clip "
        "(decode.<name>.count or fps) or max_side, or delete what no config needs with `emopipe cache --prune`."
    )
    return _compared("disk", found, more, free, todo)


# -- memory ---


def needs(config: Config, clips: int, training_clips: int) -> dict[str, float]:
    """Return job -> the bytes of memory that it is known to need.

    Training on the corpus holds all its samples, twice while they are copied. A model holds four times the size of its
    vectors. All other jobs work clip by clip.
    """
    found = {"any job": BASE_BYTES}
    for name, block in config.backbones.items():
        if block.pretrain:
            options = backbones.options_class(block.kind).model_validate(block.options)
            preset = config.faces[block.faces].decode if modality(block) == "face" else block.decode
            spec = backbones.spec(block.kind, options)
            samples = resources.samples_megabytes(training_clips, spec, config.decode[preset])
            found[f"pretrain {name}"] = BASE_BYTES + 2e6 * samples
    for name, block in config.models.items():
        vectors = max(
            sum(vector_bytes(config, net) for name, net in config.backbones.items() if backbone_of(name) in chosen)
            for chosen in first_available.choices(block.streams, config.first_available)
        )
        found[f"fusion {name}"] = BASE_BYTES + 4 * clips * vectors
    return found


def memory_of(needed: Mapping[str, float], memory: float) -> Check:
    """Return whether the job with the largest need fits into the memory of this machine."""
    job = max(needed, key=needed.__getitem__)
    found = f"The largest job ({job}) needs about {_gigabytes(needed[job])}; this machine has {_gigabytes(memory)}."
    todo = (
        "Lower the frames of each clip (decode.<name>.count or fps), or the streams of that model, or run on a machine "
        "or node with more memory."
    )
    return _compared("memory", found, needed[job], memory, todo)


def _compared(name: str, found: str, needed: float, available: float, todo: str) -> Check:
    if needed > available:
        return Check("space", name, "problem", found, todo)
    if needed > TIGHT * available:
        return Check("space", name, "warning", f"{found} That is tight.", todo)
    return Check("space", name, "ok", found)


def _existing(folder: Path) -> Path:
    """Return the nearest folder that exists: the disk that the cache will be on."""
    folder = folder.absolute()
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:,.1f} GB"
