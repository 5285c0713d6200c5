"""The workflow, from labelled clips to fused predictions: a table of contents."""

from snakemake.utils import min_version

min_version("9.19")


include: "rules/common.smk"
include: "rules/corpus.smk"
include: "rules/decode.smk"
include: "rules/faces.smk"
include: "rules/chain.smk"
include: "rules/pretrain.smk"
include: "rules/features.smk"
include: "rules/merge.smk"
include: "rules/fusion.smk"
include: "rules/ensemble.smk"
include: "rules/report.smk"


wildcard_constraints:
    shard=one_of(SHARDS),
    decode=one_of(CONFIG.decode),
    detector=one_of(CONFIG.faces),
    backbone=f"(?:{one_of(PLAN.backbones)})(?:@[a-z]+)?",
    model=one_of(PLAN.models),
    step="\\d+",


onstart:
    resume.begin_workflow(Path.cwd(), workflow)


onsuccess:
    finish()


onerror:
    finish_badly()


# The whole run: what `snakemake` makes where no target is named.
rule all:
    default_target: True
    input:
        REPORT.values() if CONFIG.models else FEATURES,
    localrule: True


# Stop after the caches: every backbone's features of every clip.
rule extract:
    input:
        FEATURES,
    localrule: True
