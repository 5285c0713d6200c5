# Sample frames and extract the sound of a shard's clips.
rule decode:
    input:
        shard=get_shard_table,
    output:
        media=kept_media(f"{CACHE}/media/{{decode}}/{{shard}}.h5"),
        status=update(f"{CACHE}/media/{{decode}}/{{shard}}.status.h5"),
    log:
        f"{CACHE}/logs/decode/{{decode}}/{{shard}}.log",
    benchmark:
        f"{CACHE}/benchmarks/decode/{{decode}}/{{shard}}.tsv"
    resources:
        mem_mb=memory(1000 + max(preset.clip_memory_mb for preset in CONFIG.decode.values())),
        runtime=minutes(30, per_clip=5),
    params:
        recipe=lambda w: PLAN.decode(w.decode),
        clips=lambda w: pictures.clips_param(PLAN, "media", w.decode, w.shard),
        retries=get_retries,
    script:
        "../workflow_scripts/decode.py"
