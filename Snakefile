"""The workflow, from labelled clips to fused predictions. This file is the table of contents."""

from snakemake.utils import min_version

min_version("9.19")


report: "rules/captions/workflow.rst"


include: "rules/common.smk"
include: "rules/hooks.smk"
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
include: "rules/page.smk"


wildcard_constraints:
    shard=one_of(SHARDS),
    decode=one_of(CONFIG.decode),
    detector=one_of(CONFIG.faces),
    backbone=f"(?:{one_of(PLAN.backbones)})(?:@[a-z]+)?",
    model=one_of(PLAN.models),
    step="\\d+",


# The whole run: what `snakemake` makes if no target is named.
rule all:
    default_target: True
    input:
        [*REPORT.values(), PAGE] if CONFIG.models else FEATURES,
    localrule: True


# Stop after the caches: the features of every clip by every backbone.
rule extract:
    input:
        FEATURES,
    localrule: True
