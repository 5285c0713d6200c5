rule decode:
    input:
        shard=lambda w: order_only([f"{CACHE}/shards/{w.shard}.csv"], decode_is_current(w)),
    output:
        media=media_output(f"{CACHE}/media/{{decode}}/{{shard}}.h5"),
        fates=update(f"{CACHE}/media/{{decode}}/{{shard}}.status.h5"),
    log:
        f"{CACHE}/logs/decode/{{decode}}/{{shard}}.log",
    benchmark:
        f"{CACHE}/benchmarks/decode/{{decode}}/{{shard}}.tsv"
    resources:
        mem_mb=memory(1000 + max(preset.clip_memory_mb for preset in CONFIG.decode.values())),
        runtime=minutes(30, per_clip=5),
    params:
        recipe=lambda w: PLAN.decode(w.decode),
        clips=lambda w: PLAN.shard_digest(w.shard),
        attempt=decode_attempt,
    script:
        "../workflow_scripts/decode.py"
