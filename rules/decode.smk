def media_output(path):
    """Kept between runs, so that a new clip alone is decoded; temporary where the config says so."""
    return update(path) if CONFIG.keep_media else temp(path)


def decode_is_current(wildcards):
    path = Path(f"{CACHE}/media/{wildcards.decode}/{wildcards.shard}.h5")
    return stands_for(path, PLAN.decode(wildcards.decode), PLAN.shard_digest(wildcards.shard))


rule decode:
    input:
        shard=lambda w: order_only([f"{CACHE}/shards/{w.shard}.csv"], decode_is_current(w)),
    output:
        media_output(f"{CACHE}/media/{{decode}}/{{shard}}.h5"),
    params:
        recipe=lambda w: PLAN.decode(w.decode),
        clips=lambda w: PLAN.shard_digest(w.shard),
    log:
        f"{CACHE}/logs/decode/{{decode}}/{{shard}}.log",
    benchmark:
        f"{CACHE}/benchmarks/decode/{{decode}}/{{shard}}.tsv"
    resources:
        mem_mb=2000,
    conda:
        "../environment.yml"
    script:
        "../workflow_scripts/decode.py"
