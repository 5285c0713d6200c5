def pretrained_weights(wildcards):
    """The weights that the pretrain stage learns, where the backbone asks for it."""
    if CONFIG.backbones[wildcards.backbone].pretrain:
        return f"{CACHE}/weights/{wildcards.backbone}.safetensors"
    return []


rule features:
    input:
        source=lambda w: expand(source_of(w.backbone), shard=w.shard),
        pretrained=pretrained_weights,
    output:
        update(f"{CACHE}/features/{{backbone}}/{{shard}}.h5"),
    params:
        recipe=recipe_error(lambda w: PLAN.features(w.backbone)),
        clips=lambda w: PLAN.shard_digest(w.shard),
    log:
        f"{CACHE}/logs/features/{{backbone}}/{{shard}}.log",
    benchmark:
        f"{CACHE}/benchmarks/features/{{backbone}}/{{shard}}.tsv"
    threads: CONFIG.threads
    resources:
        gpu=1,
        mem_mb=4000,
    conda:
        "../environment.yml"
    script:
        "../workflow_scripts/features.py"
