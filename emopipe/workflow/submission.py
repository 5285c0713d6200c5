"""What a run that submits jobs to a cluster records for them.

Snakemake plans the workflow again for every job, on the node that runs it. The run that submitted the job has already
scanned the corpus, read the weights, and walked through the corpora that networks are trained on. The job takes what
that run found: it saves minutes, and its recipes are the same.
"""

import json
import shutil
from pathlib import Path

from emopipe.core import tables
from emopipe.core.atomic import write_text
from emopipe.core.errors import CacheError
from emopipe.workflow import scan
from emopipe.workflow.config import Config
from emopipe.workflow.digests import Digests
from emopipe.workflow.plan import Plan

FOLDER = Path(".snakemake/emopipe-plans")
"""The folder in the working folder that holds a folder for each active run on a cluster."""


def record(plan: Plan) -> None:
    """Record the clip table, the number of shards and the digests of a plan, for the jobs of its run."""
    plan.check_weights()  # it computes the digests, unless they are computed already
    folder = _folder(plan.config)
    tables.write(plan.table, folder / "clips.csv")
    tables.seal([folder / "clips.csv"])
    write_text(folder / "plan.json", json.dumps({"shards": plan.shard_count, "digests": plan.digests.found}))


def plan_on_node(config: Config, scripts: Path) -> Plan:
    """Return the plan of a job on a cluster's node, as the run that submitted it recorded it.

    If there is no record, because the node has no access to the working folder, the clips are those that the corpus
    stage wrote, or else those that are found now.

    Args:
        config: The checked config.
        scripts: The folder of the workflow's scripts.
    """
    folder = _folder(config)
    try:
        found = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        table = tables.read(folder / "clips.csv")
        config, digests = config.model_copy(update={"shards": found["shards"]}), Digests(found["digests"])
    except (OSError, ValueError, KeyError, TypeError, CacheError):
        table, digests = scan.recorded(config), Digests()
    return Plan(config, scan.scan(config) if table is None else table, scripts, digests=digests)


def clear(config: Config) -> None:
    """Remove the record of a run, because it is over."""
    shutil.rmtree(_folder(config), ignore_errors=True)


def _folder(config: Config) -> Path:
    return FOLDER / f"{config.corpus.name}@{config.run}"  # no name has an @
