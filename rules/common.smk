# What the rules share: the checked config, the plan, the paths, the input functions of rules, and their resources.
import math
import re
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

from emopipe.backbones import registry as backbones
from emopipe.cache import metadata
from emopipe.cache.store import stands_for
from emopipe.core.errors import EmopipeError
from emopipe.core.log import log_to
from emopipe.workflow import config as configs
from emopipe.workflow import scan, training_needs
from emopipe.workflow.config import modality
from emopipe.workflow.plan import Plan
from emopipe.workflow.retry import retry_counter

# The config and the corpus


def read_config():
    """Return the checked config: the demo's, or that of --configfile instead; --config changes keys of either."""
    chosen = {}
    if not workflow.overwrite_configfiles:
        chosen = configs.read(Path(workflow.basedir, "config.yaml"))
    update_config(chosen, config)
    config.update(chosen)
    return configs.parse(chosen)


def read_clips():
    """Return the clip table: scanned now, or, on a cluster's node, as the run that submitted the job recorded it."""
    found = scan.recorded(CONFIG) if workflow.remote_exec else None
    return scan.scan(CONFIG) if found is None else found


log_to(None)
try:
    CONFIG = read_config()
    PLAN = Plan(CONFIG, read_clips(), Path(workflow.basedir, "workflow_scripts"))
    PLAN.check_weights()
except EmopipeError as error:
    raise WorkflowError(str(error)) from None

# What scripts need beside their params. These are not params, so that another corpus folder or device reruns nothing.
config["job"] = {
    "root": str(scan.clips_root(CONFIG)),
    "device": CONFIG.device,
    "detectors": {name: block.options.get("weights") for name, block in CONFIG.faces.items()},
    "weights": {name: block.weights or block.options.get("weights") for name, block in CONFIG.backbones.items()},
    "sources": {name: block.path for name, block in CONFIG.sources.items()},
    "on_failure": CONFIG.on_failure,
}


# Paths and wildcards


def all_shards(pattern):
    """Return a path for every shard; `pattern` has the wildcard {shard}."""
    return expand(pattern, shard=SHARDS, allow_missing=True)


def one_of(names):
    """Return a pattern for a wildcard that matches these names alone."""
    return "|".join(map(re.escape, names)) or "(?!)"


CACHE = scan.cache_folder(CONFIG).as_posix()
RESULTS = f"results/{CONFIG.run}"
CLIPS = scan.clip_table(CONFIG).as_posix()
SHARDS = PLAN.shards
FEATURES = expand(f"{CACHE}/features/{{backbone}}.h5", backbone=[v for b in PLAN.backbones for v in PLAN.views(b)])


# Inputs, outputs and params of the rules


def kept_media(path):
    """Mark the output of decode: updated in later runs, or temporary if the config says so."""
    return update(path) if CONFIG.keep_media else temp(path)


def ancient_if(is_current, paths):
    """Mark inputs as `ancient` while the output is current, so that newer inputs do not rerun the job.

    They must be ordinary inputs while the output is out of date: Snakemake 9 does not look at the params of a job whose
    inputs are made in the same run.
    """
    return [ancient(path) for path in paths] if is_current else paths


def status_file(wildcards):
    """Return the file of the decode rule that holds the clips' statuses; it is kept even if the media are not."""
    return Path(f"{CACHE}/media/{wildcards.decode}/{wildcards.shard}.status.h5")


def get_shard_table(wildcards):
    """Return the clip table of a shard."""
    is_current = stands_for(status_file(wildcards), PLAN.decode(wildcards.decode), PLAN.shard_digest(wildcards.shard))
    return ancient_if(is_current, [f"{CACHE}/shards/{wildcards.shard}.csv"])


def get_retries(wildcards):
    """Return how often the unreadable clips of a shard were retried; it grows if one of them can be read now."""
    return retry_counter(status_file(wildcards), scan.clips_root(CONFIG), PLAN.shard_paths(wildcards.shard))


def get_media(wildcards):
    """Return the decoded clips in which a face detector looks for faces."""
    return f"{CACHE}/media/{CONFIG.faces[wildcards.detector].decode}/{wildcards.shard}.h5"


def backbone_name(wildcards):
    """Return the backbone's name without the view: `expression` for `expression@flip`."""
    return wildcards.backbone.partition("@")[0]


def source_pattern(wildcards):
    """Return the file that a backbone reads, faces or media, with the wildcard {shard}."""
    block = CONFIG.backbones[backbone_name(wildcards)]
    folder = f"faces/{block.faces}" if modality(block) == "face" else f"media/{block.decode}"
    return f"{CACHE}/{folder}/{{shard}}.h5"


def chain_weights(backbone, steps=None):
    """Return the weights that the first steps of a backbone's chain make, or all of them; [] if there are none."""
    steps = len(CONFIG.backbones[backbone].chain) if steps is None else steps
    return f"{CACHE}/weights/{backbone}.step{steps - 1}.safetensors" if steps else []


def get_chain_start(wildcards):
    """Return the weights that a step of a chain starts from: those of the step before."""
    return chain_weights(wildcards.backbone, int(wildcards.step))


def pretrain_is_current(wildcards):
    """Return whether the weights of the pretrain rule are those that the config asks for."""
    weights = Path(f"{CACHE}/weights/{wildcards.backbone}.safetensors")
    return metadata.made_by(weights, PLAN.pretrain(wildcards.backbone))


def get_pretrain_clips(wildcards):
    """Return the clip table, from which pretraining takes the training split."""
    return ancient_if(pretrain_is_current(wildcards), [CLIPS])


def get_pretrain_shards(wildcards):
    """Return the faces or media of all clips."""
    return ancient_if(pretrain_is_current(wildcards), all_shards(source_pattern(wildcards)))


def get_pretrain_start(wildcards):
    """Return the weights of the last step of the backbone's chain; [] if it has none."""
    return chain_weights(wildcards.backbone)


def get_feature_source(wildcards):
    """Return the faces or media of a shard."""
    return expand(source_pattern(wildcards), shard=wildcards.shard)


def get_pretrained_weights(wildcards):
    """Return the weights that the pretrain rule makes; [] if the backbone is not trained on the corpus."""
    name = backbone_name(wildcards)
    return f"{CACHE}/weights/{name}.safetensors" if CONFIG.backbones[name].pretrain else []


def get_chained_weights(wildcards):
    """Return the weights of the last step of the backbone's chain, unless pretraining started from them."""
    return [] if get_pretrained_weights(wildcards) else chain_weights(backbone_name(wildcards))


def get_model_features(wildcards):
    """Return the features that a model reads, those of augmented views included."""
    return expand(f"{CACHE}/features/{{backbone}}.h5", backbone=PLAN.inputs(wildcards.model))


def clips_of(wildcards):
    """How many clips a job works on: its shard's, or all of the corpus."""
    return len(PLAN.shard_table(wildcards.shard) if "shard" in wildcards.keys() else PLAN.table)


# Resources on clusters. The figures are several times what runs on two cores were measured to need, but for those of
# pretraining, which are worked out; where they fall short, each further attempt gets as much again, up to what ordinary
# partitions are taken to grant. On one machine they limit nothing.

MOST_MEGABYTES = 250_000
MOST_MINUTES = 2 * 24 * 60  # what does not end by then goes on in the next attempt, as checkpoints are kept


def memory(base, *, per_clip=0, per_input=0, held=lambda wildcards: 0):
    """Megabytes: a base, so many for each clip and for each megabyte of input, and what a job is known to hold."""

    def megabytes(wildcards, input, attempt):
        read = per_input * input.size_mb if per_input else 0  # only here, since inputs may not be there yet
        needed = math.ceil(base + per_clip * clips_of(wildcards) + read + held(wildcards))
        return min(attempt * needed, MOST_MEGABYTES)

    return megabytes


def minutes(base, *, per_clip=0, seconds=lambda wildcards: 0):
    """Minutes: a base, so many seconds for each clip, and those that a job is known to take."""

    def needed(wildcards, attempt):
        known = per_clip * clips_of(wildcards) + seconds(wildcards)
        return min(attempt * math.ceil(base + known / 60), MOST_MINUTES)

    return needed


def pretraining(wildcards):
    """What the estimates of a backbone's pretraining go by: training clips, its spec and its clips' decoding."""
    block = CONFIG.backbones[wildcards.backbone]
    options = backbones.options_class(block.kind).model_validate(block.options)
    preset = CONFIG.faces[block.faces].decode if modality(block) == "face" else block.decode
    clips = int((PLAN.table["split"] == "train").sum())
    return clips, backbones.spec(block.kind, options), CONFIG.decode[preset]


def pretraining_holds(wildcards):
    """Megabytes of samples, twice: they are gathered clip by clip."""
    return 2 * training_needs.held_megabytes(*pretraining(wildcards))


def pretraining_takes(wildcards):
    """Seconds, at twenty samples a second, which is assumed and not measured: networks and devices differ widely."""
    return training_needs.seen(*pretraining(wildcards), CONFIG.backbones[wildcards.backbone].pretrain) / 20
