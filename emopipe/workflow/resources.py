"""What rules ask for: GPUs, and estimates of memory and time for a cluster.

A job that runs networks asks for a GPU. On one machine, that is so only if networks run on its GPU: jobs that compute
on the CPU are limited by `--cores` alone. Estimates of memory and time limit nothing on one machine.

The figures in the rules are several times what was measured on two cores. The figures of pretraining are computed from
the number of training clips. If an estimate is too low, each further attempt of a job adds the same amount, up to what
ordinary partitions allow.
"""

import math
from collections.abc import Callable
from typing import Any

from emopipe.backbones import registry as backbones
from emopipe.backbones.base import FaceInput, Spec
from emopipe.media.decoded import DecodeOptions
from emopipe.runtime.gpus import has_gpu
from emopipe.training.options import PretrainOptions
from emopipe.workflow.config import modality
from emopipe.workflow.plan import Plan

MOST_MEGABYTES = 250_000
MOST_MINUTES = 2 * 24 * 60  # a longer job continues in its next attempt, because checkpoints are kept
CLIP_SECONDS = 6.0
"""Assumed length of a clip: the plan has not opened any clip, and emotion corpora have few longer clips."""
FRAMES_PER_SECOND = 30.0
"""Assumed frame rate of a clip."""
SAMPLES_PER_SECOND = 20
"""Assumed speed of training. It is not measured: networks and devices differ widely."""


def cores(workflow: Any) -> int | None:
    """Return how many CPU cores the jobs of a Snakemake workflow may use together; None on a cluster.

    This is asked while the rules are read, when Snakemake knows no executor yet. But a run on a cluster has a number of
    jobs (nodes) instead of cores, or, if it is a dry run, one core.
    """
    settings = workflow.resource_settings
    if workflow.remote_exec or (settings.nodes is not None and settings.cores in (None, 1)):
        return None
    return settings.cores or 1


def is_cluster(workflow: Any) -> bool:
    """Return whether a Snakemake workflow submits its jobs to a cluster or cloud, or runs such a job.

    This can be asked once jobs are planned. A dry run has an executor of its own. If it stands for a run on a cluster,
    there are a number of nodes and default resources.
    """
    if workflow.remote_exec:
        return True
    if workflow.executor_plugin is not None and not (workflow.dryrun or workflow.touch):
        return workflow.non_local_exec
    settings = workflow.resource_settings
    return settings.nodes is not None and settings.default_resources is not None


def is_surely_local(workflow: Any) -> bool:
    """Return whether a Snakemake workflow runs its jobs on this machine, as far as it is known while rules are read.

    A number of nodes may be one of a cluster, or of local jobs at once; `is_cluster` knows later which.
    """
    return not workflow.remote_exec and workflow.resource_settings.nodes is None


def gpus_of_a_job(device: str, *, on_cluster: bool, gpu_here: bool) -> int:
    """Return how many GPUs a job that runs networks asks for: 1 or 0.

    Args:
        device: The config's `device`: auto, cpu or cuda.
        on_cluster: Whether jobs run on nodes of a cluster, which are not like the machine that submits them.
        gpu_here: Whether this machine has a GPU.
    """
    if device == "auto":
        return int(on_cluster or gpu_here)
    return int(device == "cuda")


class ResourceEstimates:
    """The functions that compute a rule's `threads`, `gpu`, `mem_mb` and `runtime` for one plan."""

    def __init__(self, plan: Plan, workflow: Any = None) -> None:
        """Take the plan whose clips are counted, and Snakemake's workflow, which knows where jobs run."""
        self._plan, self._workflow = plan, workflow

    def gpus(self, wildcards: Any) -> int:
        """Return the number of GPUs of a job that runs networks."""
        on_cluster = is_cluster(self._workflow)
        return gpus_of_a_job(self._plan.config.device, on_cluster=on_cluster, gpu_here=has_gpu())

    def gpus_of_features(self, wildcards: Any) -> int:
        """Return the number of GPUs of a job that extracts features: 0 if its backbone computes on the CPU alone."""
        kind = self._plan.config.backbones[wildcards.backbone.partition("@")[0]].kind
        return 0 if backbones.cpu_only(kind) else self.gpus(wildcards)

    def threads(self, wildcards: Any) -> int:
        """Return the number of threads of a job that runs networks on one shard.

        On this machine's CPU, the jobs of all shards, and of all backbones, share the cores: jobs side by side also
        load their packages side by side, which one job does on one core. With a GPU, which one job has at a time, and
        on a cluster, it is the config's.
        """
        most, here = self._plan.config.threads, cores(self._workflow)
        names = wildcards.keys()  # as in `_clips`
        is_features = "backbone" in names
        if here is None or (self.gpus_of_features(wildcards) if is_features else self.gpus(wildcards)):
            return most
        jobs = len(self._plan.shards) * (len(self._plan.backbones) if is_features else 1)
        return max(1, min(most, here // max(1, jobs)))

    def memory(
        self,
        base: float,
        *,
        per_clip: float = 0,
        per_input: float = 0,
        held: Callable[[Any], float] = lambda wildcards: 0,
    ) -> Callable[..., int]:
        """Return a function for `mem_mb`, in megabytes.

        Args:
            base: Megabytes of every job.
            per_clip: Megabytes for each clip of the job.
            per_input: Megabytes for each megabyte of input files.
            held: Returns the megabytes that a job is known to hold, for its wildcards.
        """

        def megabytes(wildcards: Any, input: Any, attempt: int) -> int:
            read = per_input * input.size_mb if per_input else 0  # only if needed: the input may not exist yet
            needed = math.ceil(base + per_clip * self._clips(wildcards) + read + held(wildcards))
            return min(attempt * needed, MOST_MEGABYTES)

        return megabytes

    def minutes(
        self, base: float, *, per_clip: float = 0, seconds: Callable[[Any], float] = lambda wildcards: 0
    ) -> Callable[..., int]:
        """Return a function for `runtime`, in minutes.

        Args:
            base: Minutes of every job.
            per_clip: Seconds for each clip of the job.
            seconds: Returns the seconds that a job is known to take, for its wildcards.
        """

        def needed(wildcards: Any, attempt: int) -> int:
            known = per_clip * self._clips(wildcards) + seconds(wildcards)
            return min(attempt * math.ceil(base + known / 60), MOST_MINUTES)

        return needed

    def _clips(self, wildcards: Any) -> int:
        """Return the number of clips of a job: those of its shard, or all of the corpus."""
        names = wildcards.keys()  # a list of Snakemake's own, in which `in` alone would search the values
        return len(self._plan.shard_table(wildcards.shard) if "shard" in names else self._plan.table)

    def pretraining_memory(self, wildcards: Any) -> float:
        """Return the megabytes of a backbone's training samples, twice, because they are copied once."""
        return 2 * samples_megabytes(*self._pretraining(wildcards))

    def pretraining_seconds(self, wildcards: Any) -> float:
        """Return the seconds that a backbone's pretraining takes at `SAMPLES_PER_SECOND`."""
        options = self._plan.config.backbones[wildcards.backbone].pretrain
        return samples_trained_on(*self._pretraining(wildcards), options) / SAMPLES_PER_SECOND

    def _pretraining(self, wildcards: Any) -> tuple[int, Spec, DecodeOptions]:
        """Return the number of training clips, the backbone's specification and the decoding of its clips."""
        config = self._plan.config
        block = config.backbones[wildcards.backbone]
        options = backbones.options_class(block.kind).model_validate(block.options)
        preset = config.faces[block.faces].decode if modality(block) == "face" else block.decode
        clips = int((self._plan.table["split"] == "train").sum())
        return clips, backbones.spec(block.kind, options), config.decode[preset]


def samples_megabytes(clips: int, spec: Spec, decode: DecodeOptions) -> float:
    """Return the megabytes of the training samples of this many clips.

    They are held as `emopipe.training.face_clips` and `emopipe.training.audio_clips` hold them.
    """
    from emopipe.training.augment_image import held_side  # torch is slow to import

    if isinstance(spec.input, FaceInput):
        each = frames(decode) * held_side(spec.input.size) ** 2 * spec.input.channels  # bytes
    else:
        spectrum = getattr(spec.input, "options", None)
        if spectrum is None:  # the wave itself
            numbers_per_second = spec.input.rate
        else:  # the spectrogram, with all its channels
            rows = 3 * spectrum.n_mels if spectrum.kind == "logmel" else spectrum.bins
            numbers_per_second = rows * 1000 / spectrum.hop_ms
        each = 2 * numbers_per_second * min(CLIP_SECONDS, float(decode.max_audio_seconds))  # in half precision
    return clips * each / 1e6


def samples_trained_on(clips: int, spec: Spec, decode: DecodeOptions, options: PretrainOptions) -> int:
    """Return the number of samples that all networks are trained on together, counted again in every epoch."""
    samples = frames(decode) if spec.modality == "face" else 1
    return clips * samples * options.epochs * (options.folds + 1)


def frames(decode: DecodeOptions) -> int:
    """Return the number of frames that are sampled from a clip."""
    if decode.count is not None:
        return min(decode.count, decode.max_frames)
    return min(round(CLIP_SECONDS * float(decode.fps or FRAMES_PER_SECOND)), decode.max_frames)
