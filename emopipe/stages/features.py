"""Stage features: a shard's faces or sound -> a backbone's vectors, with its head's answers, times, mask and status."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from emopipe import extraction
from emopipe.backbones import registry
from emopipe.cache.failures import FailurePolicy
from emopipe.cache.incremental import Output, making
from emopipe.cache.store import Field, Reader, Row
from emopipe.core.atomic import sha256
from emopipe.core.errors import CacheError
from emopipe.core.labels import CLASSES
from emopipe.core.log import Progress
from emopipe.extraction.extractor import Extractor
from emopipe.runtime import device as devices


def fields(dim: int, *, has_head: bool, classes: Sequence[str] = CLASSES) -> dict[str, Field]:
    """Return the fields: per clip T rows of vectors (NaN if masked), seconds and mask, and one row with the fold.

    Networks with an emotion head have T rows of its log-probabilities, too (NaN if masked), one for each of `classes`.
    """
    found = {"x": Field("f4", (dim,)), "time": Field("f8"), "mask": Field("?"), "fold": Field("i4")}
    return {**found, "logp": Field("f4", (len(classes),))} if has_head else found


def run(
    recipe: Mapping[str, Any],
    source: Path,
    output: Path,
    *,
    weights: str | None,
    pretrained: Path | None,
    device: str,
    threads: int,
    on_failure: str = "keep_going",
) -> None:
    """Extract one backbone's vectors of one shard.

    Args:
        recipe: `Plan.features`. Its key `head_classes`, if it is there, has the classes for which a head is asked that
            answers for the seven alone otherwise. The file's attribute of this name has the head's classes, if these
            are not the seven.
        source: The shard of the faces stage (face network) or of the decode stage (audio network).
        output: The file to make; unchanged clips that it already holds, by the same weights and device, are reused.
        weights: A file of weights, or None.
        pretrained: The weights that the pretrain stage made, or None.
        device: auto, cpu or cuda.
        threads: CPU threads.
        on_failure: If the network fails on a clip, `keep_going` records this in a row; `stop` ends the job.

    Raises:
        CacheError: `source` is damaged, or another recipe made it.
        DeviceError: The device does not exist.
    """
    where = devices.prepare(device, threads)
    workers = _workers(recipe["kind"], where, threads)
    network = Extractor(
        recipe["kind"],
        registry.options_from(recipe, weights),
        weights=weights,
        pretrained=pretrained,
        torch_device=where,
        device=device,
        threads=threads,
        precision=recipe["precision"],
        wanted=recipe.get("head_classes", CLASSES),
    )
    spec, head = network.spec, network.head
    given = head.classes if head else CLASSES
    held = fields(spec.dim, has_head=head is not None, classes=given)
    made_by = {"device": network.device, "learned_sha256": sha256(pretrained) if pretrained else ""}
    policy = FailurePolicy(on_failure)
    with (
        Reader(source, recipe["source"]) as clips,
        making(output, held, stage="features", recipe=recipe, **made_by) as vectors,
    ):
        # The rows of reused clips are read a second time below: all of them would not fit in memory together.
        reused = {clip for clip in clips.clips if vectors.earlier(clip, clips.digest[clip])}
        new = (clip for clip in clips.clips if clip not in reused)
        made = extraction.module_for(spec.modality).rows(
            clips, new, network, recipe["batch"], recipe["view"], policy, workers=workers
        )
        _write(vectors, clips, reused, made, output)
        policy.check(vectors.taken)
        vectors.note(
            dim=spec.dim,
            blocks=spec.blocks,
            modality=spec.modality,
            input=repr(spec.input),
            licence=spec.licence,
            citation=spec.citation,
            head_prior=json.dumps(head.prior.tolist()) if head else "",
            **({} if given == CLASSES else {"head_classes": json.dumps(given)}),
        )


def _write(vectors: Output, clips: Reader, reused: set[str], made: Iterator[Row], output: Path) -> None:
    """Write the row of each clip in order: that of the earlier file, or the next one that is made."""
    progress = Progress(f"features {output.parent.name} {output.stem}", len(clips.clips))
    for clip in clips.clips:
        if clip not in reused:
            vectors.add(next(made))
        elif row := vectors.earlier(clip, clips.digest[clip]):
            vectors.take(row)
        else:
            raise CacheError(f"{output} was intact a moment ago, and is damaged now. Check the disk and run again.")
        progress.advance()


def _workers(kind: str, where: torch.device, threads: int) -> int:
    """Return how many threads read clips and run a network, and limit torch to one CPU thread in each.

    On the CPU, these are clips side by side: threads that share a small network wait for each other most of the time.
    On a GPU, the network runs in one of them at a time, while the others read and decode the next clips. Networks that
    are not torch's have threads of their own.
    """
    workers = threads if registry.trainable(kind) else 1
    if workers > 1:
        torch.set_num_threads(1)
    return workers
