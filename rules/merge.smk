rule merge:
    input:
        all_shards(f"{CACHE}/features/{{backbone}}/{{shard}}.h5"),
    output:
        f"{CACHE}/features/{{backbone}}.h5",
    params:
        recipe=recipe_error(lambda w: PLAN.merge(w.backbone)),
        clips=PLAN.all_digest(),
    log:
        f"{CACHE}/logs/merge/{{backbone}}.log",
    benchmark:
        f"{CACHE}/benchmarks/merge/{{backbone}}.tsv"
    resources:
        mem_mb=2000,
    conda:
        "../environment.yml"
    script:
        "../workflow_scripts/merge.py"
