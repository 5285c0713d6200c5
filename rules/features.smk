# Extract the feature vectors of a shard's clips by one backbone, or by one augmented view of it (backbone@view).
rule features:
    input:
        source=get_feature_source,
        pretrained=get_pretrained_weights,
        chained=get_chained_weights,
        table=get_table_of_features,
    output:
        update(f"{CACHE}/features/{{backbone}}/{{shard}}.h5"),
    log:
        f"{CACHE}/logs/features/{{backbone}}/{{shard}}.log",
    benchmark:
        f"{CACHE}/benchmarks/features/{{backbone}}/{{shard}}.tsv"
    threads: RESOURCES.threads
    resources:
        gpu=RESOURCES.gpus_of_features,
        mem_mb=memory(6000),
        runtime=minutes(30, per_clip=10),
    params:
        recipe=lambda w: PLAN.features(w.backbone),
        clips=lambda w: PLAN.shard_digest(w.shard),
    script:
        "../workflow_scripts/features.py"
