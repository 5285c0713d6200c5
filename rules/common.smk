# What the rules share: the checked config, the plan, the paths, the input functions of rules, and their resources.
import re
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import update_config

from emopipe.backbones.seeds import backbone_of
from emopipe.cache import metadata
from emopipe.cache.store import stands_for
from emopipe.core.errors import EmopipeError
from emopipe.core.log import LOGGER, log_to
from emopipe.report.files import by_class_table, figure_name
from emopipe.workflow import config as configs
from emopipe.workflow import part_lengths, pictures, preconditions, resources, scan, submission, terminal
from emopipe.workflow.after_failure import is_stale
from emopipe.workflow.config import modality
from emopipe.workflow.plan import Plan
from emopipe.workflow.retry import retry_counter

if workflow.is_main_process:
    TERMINAL = terminal.shorten(logger)

# The config and the plan


def read_config():
    """Return the checked config: the demo's, or that of --configfile instead; --config changes keys of either."""
    chosen = {}
    for path in map(Path, workflow.overwrite_configfiles):
        if workflow.is_main_process:
            configs.read(path)  # Snakemake has read it, but does not notice that a key is there twice
    if not workflow.overwrite_configfiles:
        chosen = configs.read(Path(workflow.basedir, "config.yaml"))
    update_config(chosen, config)
    config.update(chosen)
    return configs.parse(chosen)


def read_plan():
    """Return the plan: of the corpus as it is now, or, on a cluster's node, of the run that submitted the job."""
    scripts = Path(workflow.basedir, "workflow_scripts")
    if workflow.remote_exec:
        return submission.plan_on_node(CONFIG, scripts)
    return Plan(CONFIG, scan.scan(CONFIG), scripts, cores=resources.cores(workflow))


def why_not_trainable():
    """Return the error if the clips do not suffice to train the models; None if they do. Features need no labels."""
    try:
        preconditions.check_models(CONFIG, PLAN.table)
    except EmopipeError as error:
        return WorkflowError(str(error))
    preconditions.report_absent_classes(CONFIG, PLAN.table)


def refuse_absent_gpu():
    """Raise an error if networks have to run on this machine's GPU, and there is none."""
    try:
        preconditions.check_device(CONFIG.device, gpu_here=resources.has_gpu())
    except EmopipeError as error:
        raise WorkflowError(str(error)) from None


log_to(None)
if not workflow.is_main_process:
    LOGGER.setLevel("ERROR")  # each job plans again: what planning reports is reported once
try:
    CONFIG = read_config()
    PLAN = read_plan()
    if workflow.is_main_process:
        preconditions.check_networks(CONFIG, PLAN.table)
        part_lengths.refuse_short_files(CONFIG, PLAN.table)
    PLAN.check_weights()
except EmopipeError as error:
    raise WorkflowError(str(error)) from None

NOT_TRAINABLE = why_not_trainable() if workflow.is_main_process else None

if workflow.is_main_process:
    if resources.is_surely_local(workflow):
        refuse_absent_gpu()
    for sentence in PLAN.library_changes():
        LOGGER.warning(sentence)
    if PLAN.first_available:
        LOGGER.info(f"The first available backbones: {PLAN.first_available}")

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


def shown(name, path):
    """Mark a file of the report for `snakemake --report`, if it is to be shown there."""
    drawn = figure_name(CONFIG.label_space, "", "").rstrip("_")
    if name.startswith(f"{drawn}_"):
        if not path.endswith(".png"):
            return path
        model, _, split = name.removeprefix(f"{drawn}_").rpartition("_")
        category = "Confusion matrices" if CONFIG.label_space.has_one_class else "Answers"
        return report(path, caption=f"captions/{drawn}.rst", category=category, labels={"model": model, "split": split})
    if name not in CATEGORIES:
        return path
    return report(path, caption=f"captions/{Path(name).stem}.rst", category=CATEGORIES[name], labels={"table": name})


def ancient_if(is_current, paths):
    """Mark inputs as `ancient` while the output is current, so that newer inputs do not rerun the job.

    They must be ordinary inputs while the output is out of date: Snakemake 9 does not look at the params of a job if a
    job before it runs, be it one whose files are `ancient` further up. So faces, features and merged features have the
    clip table as an input, too, which their jobs do not read.
    """
    return [ancient(path) for path in paths] if is_current else paths


def status_file(wildcards):
    """Return the file of the decode rule that holds the clips' statuses; it is kept even if the media are not."""
    return Path(f"{CACHE}/media/{wildcards.decode}/{wildcards.shard}.status.h5")


def get_shard_table(wildcards):
    """Return the clip table of a shard."""
    is_current = stands_for(status_file(wildcards), PLAN.decode(wildcards.decode), PLAN.shard_digest(wildcards.shard))
    return ancient_if(is_current, [f"{CACHE}/shards/{wildcards.shard}.csv"])


def get_table_of_faces(wildcards):
    """Return the clip table of a shard, for a run that changes labels and the detection of faces at once."""
    path = Path(f"{CACHE}/faces/{wildcards.detector}/{wildcards.shard}.h5")
    is_current = not is_stale(path, PLAN.faces(wildcards.detector), PLAN.shard_digest(wildcards.shard))
    return ancient_if(is_current, [f"{CACHE}/shards/{wildcards.shard}.csv"])


def get_table_of_features(wildcards):
    """Return the clip table of a shard, for a run that changes labels and a backbone at once."""
    path = Path(f"{CACHE}/features/{wildcards.backbone}/{wildcards.shard}.h5")
    is_current = not is_stale(path, PLAN.features(wildcards.backbone), PLAN.shard_digest(wildcards.shard))
    return ancient_if(is_current, [f"{CACHE}/shards/{wildcards.shard}.csv"])


def get_table_of_merge(wildcards):
    """Return the clip table, for a run that changes labels and a backbone at once."""
    path = Path(f"{CACHE}/features/{wildcards.backbone}.h5")
    return ancient_if(not is_stale(path, PLAN.merge(wildcards.backbone), PLAN.all_digest()), [CLIPS])


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
    """Return the weights after the first phases of a backbone's schedule (default: all); [] if there are none.

    The networks of several seeds start from the same ones.
    """
    steps = len(CONFIG.backbones[backbone].schedule) if steps is None else steps
    return f"{CACHE}/weights/{backbone_of(backbone)}.step{steps - 1}.safetensors" if steps else []


def get_chain_start(wildcards):
    """Return the weights that a phase starts from: those of the phase before it."""
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
    """Return the weights of the last phase of the backbone's schedule; [] if it has none."""
    return chain_weights(wildcards.backbone)


def get_feature_source(wildcards):
    """Return the faces or media of a shard."""
    return expand(source_pattern(wildcards), shard=wildcards.shard)


def get_pretrained_weights(wildcards):
    """Return the weights that the pretrain rule makes; [] if the backbone is not trained on the corpus."""
    name = backbone_name(wildcards)
    return f"{CACHE}/weights/{name}.safetensors" if CONFIG.backbones[name].pretrain else []


def get_chained_weights(wildcards):
    """Return the weights of the last phase of the backbone's schedule, unless pretraining started from them."""
    return [] if get_pretrained_weights(wildcards) else chain_weights(backbone_name(wildcards))


def get_model_features(wildcards):
    """Return the features that a model reads, those of augmented views included; refuse to plan it without labels."""
    if NOT_TRAINABLE:
        raise NOT_TRAINABLE
    return expand(f"{CACHE}/features/{{backbone}}.h5", backbone=PLAN.inputs(wildcards.model))


# What a rule asks for; see `emopipe.workflow.resources`.
RESOURCES = resources.ResourceEstimates(PLAN, workflow)
memory, minutes = RESOURCES.memory, RESOURCES.minutes
