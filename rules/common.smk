# What every rule uses: the checked config, the scanned corpus, the recipes, and where files are.
import re
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

from emopipe import scanning
from emopipe.backbones import learned
from emopipe.config import modality
from emopipe.config import parse as check_config  # Snakemake has a parse of its own
from emopipe.errors import EmopipeError
from emopipe.plan import Plan
from emopipe.progress import log_to
from emopipe.store import stands_for


def read_config():
    """The config: the demo's, unless --configfile names another. The two are never mixed; --config wins over either."""
    chosen = {}
    if not workflow.overwrite_configfiles:
        chosen = yaml.safe_load(Path(workflow.basedir, "config.yaml").read_text(encoding="utf-8"))
    update_config(chosen, config)
    config.update(chosen)
    return check_config(chosen)


log_to(None)
try:
    CONFIG = read_config()
    PLAN = Plan(CONFIG, scanning.scan(CONFIG), Path(workflow.basedir, "workflow_scripts"))
except EmopipeError as error:
    raise WorkflowError(str(error)) from None

# What scripts need beside their recipe; it is no param, because moving a corpus or changing the device reruns nothing.
config["job"] = {
    "root": str(scanning.clips_root(CONFIG)),
    "device": CONFIG.device,
    "weights": {name: block.weights for name, block in CONFIG.backbones.items()},
}

CACHE = scanning.cache_folder(CONFIG).as_posix()
RESULTS = f"results/{CONFIG.run}"
CLIPS = f"{CACHE}/clips.csv"
SHARDS = PLAN.shards


FEATURES = expand(f"{CACHE}/features/{{backbone}}.h5", backbone=CONFIG.backbones)


def one_of(names):
    """A wildcard's pattern: these names and no others."""
    return "|".join(map(re.escape, names)) or "(?!)"


def all_shards(pattern):
    """A path for every shard; `pattern` has the wildcard {shard}."""
    return expand(pattern, shard=SHARDS, allow_missing=True)


def order_only(paths, is_current):
    """Inputs that have to be there, but whose being made again is no reason to run.

    They are `ancient` only while the output is current. Snakemake 9 does not look at the params of a job downstream of
    a job that runs, so an output that is out of date has to depend on them in the ordinary way.
    """
    return [ancient(path) for path in paths] if is_current else paths


def recipe_error(make):
    """Recipes for params, with a missing weights file told as one sentence."""

    def recipe(wildcards):
        try:
            return make(wildcards)
        except EmopipeError as error:
            raise WorkflowError(str(error)) from None

    return recipe
