# Trains a backbone on the corpus' own training clips. A clip outside the training split changes shards that this rule
# reads, but it does not start the training again.
rule pretrain:
    input:
        clips=get_pretrain_clips,
        shards=get_pretrain_shards,
        start=get_pretrain_start,
    output:
        weights=f"{CACHE}/weights/{{backbone}}.safetensors",
        history=f"{CACHE}/weights/{{backbone}}.csv",
    log:
        f"{CACHE}/logs/pretrain/{{backbone}}.log",
    benchmark:
        f"{CACHE}/benchmarks/pretrain/{{backbone}}.tsv"
    threads: CONFIG.threads
    resources:
        gpu=RESOURCES.gpus,
        mem_mb=memory(4000, held=RESOURCES.pretraining_memory),
        runtime=minutes(120, seconds=RESOURCES.pretraining_seconds),
    params:
        recipe=lambda w: PLAN.pretrain(w.backbone),
    script:
        "../workflow_scripts/pretrain.py"
