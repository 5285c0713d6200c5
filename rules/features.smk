rule features:
    input:
        source=lambda w: expand(source_of(w.backbone), shard=w.shard),
        pretrained=pretrained_weights,
        chained=lambda w: [] if pretrained_weights(w) else chained_weights(plain(w.backbone)),
    output:
        update(f"{CACHE}/features/{{backbone}}/{{shard}}.h5"),
    log:
        f"{CACHE}/logs/features/{{backbone}}/{{shard}}.log",
    benchmark:
        f"{CACHE}/benchmarks/features/{{backbone}}/{{shard}}.tsv"
    threads: CONFIG.threads
    resources:
        gpu=1,
        mem_mb=memory(6000),
        runtime=minutes(30, per_clip=10),
    params:
        recipe=lambda w: PLAN.features(w.backbone),
        clips=lambda w: PLAN.shard_digest(w.shard),
    script:
        "../workflow_scripts/features.py"
