# Trains a backbone on labelled stills or speech of other corpora: one phase of its schedule. An interrupted job resumes.
rule chain:
    input:
        start=get_chain_start,
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
        gpu=RESOURCES.gpus,
        mem_mb=memory(8000),
        runtime=minutes(720),
    params:
        recipe=lambda w: PLAN.chain(w.backbone, int(w.step)),
        events=lambda w: f"{CACHE}/logs/chain/{w.backbone}.{w.step}",
    script:
        "../workflow_scripts/chain.py"
