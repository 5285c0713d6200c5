"""Decide whether dropped pictures of faces are needed again; this is decided each time the workflow is planned.

The number of times that they were made again is part of a param of the faces rule. So the param changes, and the job
runs again, only if something has to be computed from the pictures that `emopipe cache --faces` has dropped.
"""

from pathlib import Path

from emopipe.cache import metadata, pictures
from emopipe.cache.store import attributes, stands_for
from emopipe.workflow import scan
from emopipe.workflow.config import modality
from emopipe.workflow.plan import Plan


def clips_of_faces(plan: Plan, preset: str, shard: str) -> str:
    """Return the faces rule's param `clips`: the digest of a shard's clips and, once they were dropped, a number.

    Args:
        plan: The plan of the run.
        preset: The faces preset.
        shard: The name of the shard.
    """
    found = attributes(_file(plan, preset, shard))
    times = pictures.drops(found)
    if pictures.are_dropped(found) and not are_needed(plan, preset, shard):
        times -= 1  # as it was when the file was made
    clips = plan.shard_digest(shard)
    return f"{clips} {times}" if times else clips


def are_needed(plan: Plan, preset: str, shard: str) -> bool:
    """Return whether vectors of a shard, or a network that is trained on it, have yet to be computed from its faces."""
    cache = scan.cache_folder(plan.config)
    clips = plan.shard_digest(shard)
    for name, block in plan.backbones.items():
        if modality(block) != "face" or block.faces != preset:
            continue
        if block.pretrain and not metadata.made_by(cache / f"weights/{name}.safetensors", plan.pretrain(name)):
            return True
        for view in plan.views(name):
            if not stands_for(cache / f"features/{view}/{shard}.h5", plan.features(view), clips):
                return True
    return False


def discard_unmade(plan: Plan, preset: str, shard: str) -> None:
    """After a run that failed, delete a file of faces without the pictures that the run needed.

    Snakemake has recorded that its job ran, and would take the old file for the new one.
    """
    path = _file(plan, preset, shard)
    if pictures.are_dropped(attributes(path)) and are_needed(plan, preset, shard):
        path.unlink(missing_ok=True)


def _file(plan: Plan, preset: str, shard: str) -> Path:
    return scan.cache_folder(plan.config) / f"faces/{preset}/{shard}.h5"
