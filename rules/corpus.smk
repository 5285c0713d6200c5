rule corpus:
    output:
        clips=CLIPS,
        shards=all_shards(f"{CACHE}/shards/{{shard}}.csv"),
    params:
        recipe=PLAN.corpus(),
    log:
        f"{CACHE}/logs/corpus.log",
    benchmark:
        f"{CACHE}/benchmarks/corpus.tsv"
    threads: CONFIG.threads
    conda:
        "../environment.yml"
    script:
        "../workflow_scripts/corpus.py"
