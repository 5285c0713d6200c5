"""Decide whether dropped pictures are needed again; this is decided each time the workflow is planned.

The number of times that the pictures of a shard were dropped and made again is part of the param `clips` of the rules
decode and faces. So the param changes, and the job runs again, only if something has to be computed from pictures that
`emopipe cache --faces` has dropped.
"""

from pathlib import Path

from emopipe.cache import metadata, pictures
from emopipe.cache.store import attributes, stands_for
from emopipe.workflow import scan
from emopipe.workflow.config import modality
from emopipe.workflow.plan import Plan


def clips_param(plan: Plan, stage: str, preset: str, shard: str) -> str:
    """Return the param `clips` of a rule: the digest of a shard's clips and, once pictures were dropped, a number.

    Args:
        plan: The plan of the run.
        stage: `media` or `faces`.
        preset: The preset of the stage.
        shard: The name of the shard.
    """
    found = attributes(_file(plan, stage, preset, shard))
    times = pictures.drops(found)
    if pictures.are_dropped(found) and not are_needed(plan, stage, preset, shard):
        times -= 1  # as it was when the file was made
    clips = plan.shard_digest(shard)
    return f"{clips} {times}" if times else clips


def are_needed(plan: Plan, stage: str, preset: str, shard: str) -> bool:
    """Return whether something has yet to be computed from the pictures of a shard."""
    return _frames_are_needed(plan, preset, shard) if stage == "media" else _crops_are_needed(plan, preset, shard)


def discard_unmade(plan: Plan, stage: str, preset: str, shard: str) -> None:
    """After a run that failed, delete a file without the pictures that the run needed.

    Snakemake has recorded that its job ran, and would take the old file for the new one.
    """
    path = _file(plan, stage, preset, shard)
    if pictures.are_dropped(attributes(path)) and are_needed(plan, stage, preset, shard):
        path.unlink(missing_ok=True)


def _frames_are_needed(plan: Plan, preset: str, shard: str) -> bool:
    """Return whether faces have yet to be searched in a shard's frames."""
    for name, block in plan.config.faces.items():
        if block.decode != preset:
            continue
        path = _file(plan, "faces", name, shard)
        if not stands_for(path, plan.faces(name), plan.shard_digest(shard)):
            return True
        if pictures.are_dropped(attributes(path)) and _crops_are_needed(plan, name, shard):
            return True
    return False


def _crops_are_needed(plan: Plan, preset: str, shard: str) -> bool:
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


def _file(plan: Plan, stage: str, preset: str, shard: str) -> Path:
    return scan.cache_folder(plan.config) / f"{stage}/{preset}/{shard}.h5"
