# Everything of the run on one HTML page, which a browser shows without a network.
PAGE = f"{RESULTS}/report.html"


# The page. It shows decoded clips and curves of trainings where these still exist; it does not have them made again.
rule page:
    input:
        clips=CLIPS,
        report=REPORT.values(),
        predictions=expand(f"{RESULTS}/predictions/{{model}}.csv", model=ANSWERS),
        attention=expand(f"{RESULTS}/attention/{{model}}.h5", model=PLAN.models),
        stages=[path for paths in STAGES.values() for path in paths],
    output:
        report(PAGE, caption="captions/page.rst", category="The whole run on one page"),
    log:
        f"{RESULTS}/logs/page.log",
    benchmark:
        f"{RESULTS}/benchmarks/page.tsv"
    resources:
        mem_mb=memory(3000, per_clip=0.5),
        runtime=minutes(30, per_clip=0.2),
    params:
        recipe=PLAN.page(),
        stages=STAGES,
        media={preset: all_shards(f"{CACHE}/media/{preset}/{{shard}}.h5") for preset in CONFIG.decode},
        faces={preset: all_shards(f"{CACHE}/faces/{preset}/{{shard}}.h5") for preset in CONFIG.faces},
        presets={name: block.faces or block.decode for name, block in CONFIG.backbones.items()},
        histories=PLAN.histories(),
    script:
        "../workflow_scripts/page.py"
