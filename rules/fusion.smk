# Train one model on cached features, and predict.
rule fusion:
    input:
        clips=CLIPS,
        features=get_model_features,
    output:
        model=f"{RESULTS}/models/{{model}}.safetensors",
        candidates=f"{RESULTS}/models/{{model}}.csv",
        predictions=f"{RESULTS}/predictions/{{model}}.csv",
        oof=f"{RESULTS}/oof/{{model}}.csv",
        seeds=f"{RESULTS}/seeds/{{model}}.csv",
        attention=f"{RESULTS}/attention/{{model}}.h5",
    log:
        f"{RESULTS}/logs/fusion/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fusion/{{model}}.tsv"
    threads: CONFIG.threads
    resources:
        gpu=RESOURCES.gpus,
        mem_mb=memory(4000, per_input=4),
        runtime=minutes(60, per_clip=1),
    params:
        recipe=lambda w: PLAN.fusion(w.model),
    script:
        "../workflow_scripts/fusion.py"
