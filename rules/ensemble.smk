rule ensemble:
    input:
        expand(f"{RESULTS}/predictions/{{model}}.csv", model=PLAN.members),
    output:
        f"{RESULTS}/predictions/ensemble.csv",
    log:
        f"{RESULTS}/logs/ensemble.log",
    benchmark:
        f"{RESULTS}/benchmarks/ensemble.tsv"
    conda:
        "../environment.yml"
    params:
        recipe=lambda w: PLAN.ensemble(),
    script:
        "../workflow_scripts/ensemble.py"
