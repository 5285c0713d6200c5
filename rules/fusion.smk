rule fusion:
    input:
        clips=CLIPS,
        features=lambda w: expand(f"{CACHE}/features/{{backbone}}.h5", backbone=CONFIG.models[w.model].streams),
    output:
        model=f"{RESULTS}/models/{{model}}.safetensors",
        predictions=f"{RESULTS}/predictions/{{model}}.csv",
    log:
        f"{RESULTS}/logs/fusion/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fusion/{{model}}.tsv"
    conda:
        "../environment.yml"
    threads: CONFIG.threads
    resources:
        gpu=1,
        mem_mb=4000,
    params:
        recipe=lambda w: PLAN.fusion(w.model),
    script:
        "../workflow_scripts/fusion.py"
