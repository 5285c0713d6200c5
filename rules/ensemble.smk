rule ensemble:
    input:
        expand(f"{RESULTS}/predictions/{{model}}.csv", model=PLAN.members),
    output:
        f"{RESULTS}/predictions/ensemble.csv",
    params:
        recipe=recipe_error(lambda w: PLAN.ensemble()),
    log:
        f"{RESULTS}/logs/ensemble.log",
    benchmark:
        f"{RESULTS}/benchmarks/ensemble.tsv"
    conda:
        "../environment.yml"
    script:
        "../workflow_scripts/ensemble.py"
