# The checked config, the scanned corpus, the recipes and the places of files, for all the stages.
import re
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

from emopipe.cache import metadata, preserved
from emopipe.cache.store import stands_for
from emopipe.core.errors import EmopipeError
from emopipe.core.log import log_to
from emopipe.workflow import after_failure, resume, retry, scan
from emopipe.workflow import config as configs
from emopipe.workflow.config import modality
from emopipe.workflow.plan import Plan
from emopipe.workflow.resources import Estimates


def read_config():
    """The config: the demo's, unless --configfile names another. The two are never mixed; --config wins over either."""
    chosen = {}
    if not workflow.overwrite_configfiles:
        chosen = configs.read(Path(workflow.basedir, "config.yaml"))
    update_config(chosen, config)
    config.update(chosen)
    return configs.parse(chosen)


def read_clips():
    """The corpus as it is now; in a job on a cluster's node, as the run that sent the job has recorded it."""
    found = scan.recorded(CONFIG) if workflow.remote_exec else None
    return scan.scan(CONFIG) if found is None else found


log_to(None)
try:
    CONFIG = read_config()
    PLAN = Plan(CONFIG, read_clips(), Path(workflow.basedir, "workflow_scripts"))
    PLAN.check_weights()
except EmopipeError as error:
    raise WorkflowError(str(error)) from None

# What scripts need beside their recipe; it is no param, because moving a corpus or changing the device reruns nothing.
config["job"] = {
    "root": str(scan.clips_root(CONFIG)),
    "device": CONFIG.device,
    "detectors": {name: block.options.get("weights") for name, block in CONFIG.faces.items()},
    "weights": {name: block.weights or block.options.get("weights") for name, block in CONFIG.backbones.items()},
    "sources": {name: block.path for name, block in CONFIG.sources.items()},
    "on_failure": CONFIG.on_failure,
}

CACHE = scan.cache_folder(CONFIG).as_posix()
RESULTS = f"results/{CONFIG.run}"
CLIPS = scan.clip_table(CONFIG).as_posix()
SHARDS = PLAN.shards


FEATURES = expand(f"{CACHE}/features/{{backbone}}.h5", backbone=[v for b in PLAN.backbones for v in PLAN.views(b)])


def one_of(names):
    """A wildcard's pattern: these names and no others."""
    return "|".join(map(re.escape, names)) or "(?!)"


def plain(backbone):
    """A backbone's name without the view of `<backbone>@<view>`."""
    return backbone.partition("@")[0]


def all_shards(pattern):
    """A path for every shard; `pattern` has the wildcard {shard}."""
    return expand(pattern, shard=SHARDS, allow_missing=True)


def order_only(paths, is_current):
    """Inputs that have to be there, but whose being made again is no reason to run.

    They are `ancient` only while the output is current. Snakemake 9 does not look at the params of a job downstream of
    a job that runs, so an output that is out of date has to depend on them in the ordinary way.
    """
    return [ancient(path) for path in paths] if is_current else paths


def media_output(path):
    """Kept between runs, so that a new clip alone is decoded; temporary where the config says so."""
    return update(path) if CONFIG.keep_media else temp(path)


def decode_is_current(wildcards):
    path = Path(f"{CACHE}/media/{wildcards.decode}/{wildcards.shard}.status.h5")  # kept where the media are not
    return stands_for(path, PLAN.decode(wildcards.decode), PLAN.shard_digest(wildcards.shard))


def decode_attempt(wildcards):
    fates = Path(f"{CACHE}/media/{wildcards.decode}/{wildcards.shard}.status.h5")
    return retry.attempt(fates, scan.clips_root(CONFIG), PLAN.shard_paths(wildcards.shard))


def source_of(backbone):
    """The shards that a backbone, or a view of it, reads: faces or media; a path with the wildcard {shard}."""
    block = CONFIG.backbones[plain(backbone)]
    folder = f"faces/{block.faces}" if modality(block) == "face" else f"media/{block.decode}"
    return f"{CACHE}/{folder}/{{shard}}.h5"


def pretrain_is_current(wildcards):
    weights = Path(f"{CACHE}/weights/{wildcards.backbone}.safetensors")
    return metadata.made_by(weights, PLAN.pretrain(wildcards.backbone))


def chained_weights(backbone, steps=None):
    """The weights after the first `steps` phases of a backbone's schedule (default: all); [] if there are none."""
    steps = len(CONFIG.backbones[backbone].schedule) if steps is None else steps
    return f"{CACHE}/weights/{backbone}.step{steps - 1}.safetensors" if steps else []


def pretrained_weights(wildcards):
    """The weights that the pretrain stage makes; [] if the backbone has no `pretrain`."""
    if CONFIG.backbones[plain(wildcards.backbone)].pretrain:
        return f"{CACHE}/weights/{plain(wildcards.backbone)}.safetensors"
    return []


def finish():
    """What a run that comes to its end, well or not, clears away: only where it is killed is this of use."""
    resume.end(Path.cwd())
    preserved.forget(Path(CACHE, "weights"), Path(RESULTS, "models"))


def finish_badly():
    """The same where a job failed: what Snakemake has put back is not to be taken for what was to be made."""
    finish()
    features = [(f"features/{file}", PLAN.features(file)) for name in PLAN.backbones for file in PLAN.views(name)]
    faces = [(f"faces/{preset}", PLAN.faces(preset)) for preset in CONFIG.faces]
    media = [(f"media/{preset}", PLAN.decode(preset)) for preset in CONFIG.decode]
    for shard in SHARDS:
        for folder, recipe in media + faces + features:
            after_failure.hand_over(Path(CACHE, folder, f"{shard}.h5"), recipe, PLAN.shard_digest(shard))
        for folder, recipe in media:
            after_failure.drop(Path(CACHE, folder, f"{shard}.status.h5"), recipe, PLAN.shard_digest(shard))


# What a rule asks a cluster for; see `emopipe.workflow.resources`.
ESTIMATES = Estimates(PLAN)
memory, minutes = ESTIMATES.memory, ESTIMATES.minutes
