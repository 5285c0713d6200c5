rule faces:
    input:
        lambda w: f"{CACHE}/media/{CONFIG.faces[w.detector].decode}/{w.shard}.h5",
    output:
        update(f"{CACHE}/faces/{{detector}}/{{shard}}.h5"),
    params:
        recipe=recipe_error(lambda w: PLAN.faces(w.detector)),
        clips=lambda w: PLAN.shard_digest(w.shard),
    log:
        f"{CACHE}/logs/faces/{{detector}}/{{shard}}.log",
    benchmark:
        f"{CACHE}/benchmarks/faces/{{detector}}/{{shard}}.tsv"
    threads: CONFIG.threads
    resources:
        gpu=1,
        mem_mb=4000,
    conda:
        "../environment.yml"
    script:
        "../workflow_scripts/faces.py"
