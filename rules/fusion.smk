rule fusion:
    input:
        clips=CLIPS,
        features=lambda w: expand(f"{CACHE}/features/{{backbone}}.h5", backbone=CONFIG.models[w.model].streams),
    output:
        model=f"{RESULTS}/models/{{model}}.safetensors",
        predictions=f"{RESULTS}/predictions/{{model}}.csv",
    params:
        recipe=recipe_error(lambda w: PLAN.fusion(w.model)),
    log:
        f"{RESULTS}/logs/fusion/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fusion/{{model}}.tsv"
    threads: CONFIG.threads
    resources:
        gpu=1,
        mem_mb=4000,
    conda:
        "../environment.yml"
    script:
        "../workflow_scripts/fusion.py"
