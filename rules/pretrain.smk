def source_of(backbone):
    """The shards that a backbone reads: faces or media; a path with the wildcard {shard}."""
    block = CONFIG.backbones[backbone]
    folder = f"faces/{block.faces}" if modality(block) == "face" else f"media/{block.decode}"
    return f"{CACHE}/{folder}/{{shard}}.h5"


def pretrain_is_current(wildcards):
    weights = Path(f"{CACHE}/weights/{wildcards.backbone}.safetensors")
    return learned.made_by(weights, PLAN.pretrain(wildcards.backbone))


# A clip outside the training split changes shards that this rule reads, yet must not train anything again.
rule pretrain:
    input:
        clips=lambda w: order_only([CLIPS], pretrain_is_current(w)),
        shards=lambda w: order_only(all_shards(source_of(w.backbone)), pretrain_is_current(w)),
    output:
        weights=f"{CACHE}/weights/{{backbone}}.safetensors",
        history=f"{CACHE}/weights/{{backbone}}.csv",
    params:
        recipe=recipe_error(lambda w: PLAN.pretrain(w.backbone)),
    log:
        f"{CACHE}/logs/pretrain/{{backbone}}.log",
    benchmark:
        f"{CACHE}/benchmarks/pretrain/{{backbone}}.tsv"
    threads: CONFIG.threads
    resources:
        gpu=1,
        mem_mb=4000,
    conda:
        "../environment.yml"
    script:
        "../workflow_scripts/pretrain.py"
