# Combine the models' predictions.
rule ensemble:
    input:
        predictions=expand(f"{RESULTS}/predictions/{{model}}.csv", model=PLAN.members),
        oof=expand(f"{RESULTS}/oof/{{model}}.csv", model=PLAN.members),
        seeds=expand(f"{RESULTS}/seeds/{{model}}.csv", model=PLAN.members),
    output:
        predictions=expand(f"{RESULTS}/predictions/{{ensemble}}.csv", ensemble=PLAN.ensembles),
        oof=expand(f"{RESULTS}/oof/{{ensemble}}.csv", ensemble=PLAN.ensembles),
        seeds=expand(f"{RESULTS}/seeds/{{ensemble}}.csv", ensemble=PLAN.ensembles),
        weights=f"{RESULTS}/models/ensembles.csv",
    log:
        f"{RESULTS}/logs/ensemble.log",
    benchmark:
        f"{RESULTS}/benchmarks/ensemble.tsv"
    resources:
        mem_mb=memory(2000, per_clip=0.05),
        runtime=minutes(20, per_clip=0.1),
    params:
        recipe=PLAN.ensemble(),
    script:
        "../workflow_scripts/ensemble.py"
