# Detect, track and align the faces in a shard's clips.
rule faces:
    input:
        media=get_media,
        table=get_table_of_faces,
    output:
        update(f"{CACHE}/faces/{{detector}}/{{shard}}.h5"),
    log:
        f"{CACHE}/logs/faces/{{detector}}/{{shard}}.log",
    benchmark:
        f"{CACHE}/benchmarks/faces/{{detector}}/{{shard}}.tsv"
    threads: RESOURCES.threads
    resources:
        gpu=RESOURCES.gpus,
        mem_mb=memory(4000),
        runtime=minutes(30, per_clip=10),
    params:
        recipe=lambda w: PLAN.faces(w.detector),
        clips=lambda w: pictures.clips_param(PLAN, "faces", w.detector, w.shard),
    script:
        "../workflow_scripts/faces.py"
