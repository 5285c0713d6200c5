# List the clips with their labels and subjects, and split them into shards. The demo's clips are made here too.
rule corpus:
    output:
        clips=CLIPS,
        shards=all_shards(f"{CACHE}/shards/{{shard}}.csv"),
    log:
        f"{CACHE}/logs/corpus.log",
    benchmark:
        f"{CACHE}/benchmarks/corpus.tsv"
    threads: CONFIG.threads
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30, per_clip=1),
    params:
        recipe=lambda w: PLAN.corpus(),
    script:
        "../workflow_scripts/corpus.py"
