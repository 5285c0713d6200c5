# Put the shards' features of one backbone into one file.
rule merge:
    input:
        shards=all_shards(f"{CACHE}/features/{{backbone}}/{{shard}}.h5"),
        table=get_table_of_merge,
    output:
        f"{CACHE}/features/{{backbone}}.h5",
    log:
        f"{CACHE}/logs/merge/{{backbone}}.log",
    benchmark:
        f"{CACHE}/benchmarks/merge/{{backbone}}.tsv"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(20, per_clip=0.1),
    params:
        recipe=lambda w: PLAN.merge(w.backbone),
        clips=lambda w: PLAN.all_digest(),
        min_coverage=CONFIG.min_coverage,
    script:
        "../workflow_scripts/merge.py"
