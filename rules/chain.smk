# One step of a backbone's training on labelled stills or speech from elsewhere. What was cut off goes on where it was.
rule chain:
    input:
        start=lambda w: chained_weights(w.backbone, int(w.step)),
    output:
        weights=f"{CACHE}/weights/{{backbone}}.step{{step}}.safetensors",
        history=f"{CACHE}/weights/{{backbone}}.step{{step}}.csv",
        curve=report(f"{CACHE}/weights/{{backbone}}.step{{step}}.png", category="Pretraining"),
    log:
        f"{CACHE}/logs/chain/{{backbone}}.{{step}}.log",
    benchmark:
        f"{CACHE}/benchmarks/chain/{{backbone}}.{{step}}.tsv"
    threads: CONFIG.threads
    resources:
        gpu=1,
        mem_mb=memory(8000),
        runtime=minutes(720),
    params:
        recipe=lambda w: PLAN.chain(w.backbone, int(w.step)),
        events=lambda w: f"{CACHE}/logs/chain/{w.backbone}.{w.step}",
    script:
        "../workflow_scripts/chain.py"
