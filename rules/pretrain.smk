# Trains a backbone on the corpus' own training clips. A clip outside the training split changes shards that this rule
# reads, but it does not start the training again.
rule pretrain:
    input:
        clips=lambda w: order_only([CLIPS], pretrain_is_current(w)),
        shards=lambda w: order_only(all_shards(source_of(w.backbone)), pretrain_is_current(w)),
        start=lambda w: chained_weights(w.backbone),
    output:
        weights=f"{CACHE}/weights/{{backbone}}.safetensors",
        history=f"{CACHE}/weights/{{backbone}}.csv",
    log:
        f"{CACHE}/logs/pretrain/{{backbone}}.log",
    benchmark:
        f"{CACHE}/benchmarks/pretrain/{{backbone}}.tsv"
    conda:
        "../environment.yml"
    threads: CONFIG.threads
    resources:
        gpu=1,
        mem_mb=memory(4000, held=ESTIMATES.pretraining_memory),
        runtime=minutes(120, seconds=ESTIMATES.pretraining_seconds),
    params:
        recipe=lambda w: PLAN.pretrain(w.backbone),
    script:
        "../workflow_scripts/pretrain.py"
