# Everything that predicts, and every file that the report writes.
ANSWERS = [*PLAN.models, *PLAN.ensembles]
TABLES = [
    f"tables/{name}.{kind}" for name in ("results", "comparisons", "ensembles", "streams") for kind in ("csv", "md")
]
BY_CLASS = by_class_table(CONFIG.label_space)
TABLES += [f"tables/{BY_CLASS}.csv", "tables/subjects.csv"]
TABLES += [f"tables/{name}.{kind}" for name in PLAN.tables_of_corpus for kind in ("csv", "md")]
REPORT = {name: f"{RESULTS}/{name}" for name in ("metrics.csv", "ledger.csv", "summary.md", "config.yaml", *TABLES)}
for answer, split in [(a, s) for s in PLAN.scored_splits for a in ANSWERS]:
    drawn = figure_name(CONFIG.label_space, answer, split)
    REPORT[drawn] = f"{RESULTS}/figures/{drawn}.png"
    if CONFIG.label_space.has_one_class:
        REPORT[f"{drawn}.csv"] = f"{RESULTS}/tables/{drawn}.csv"
if CONFIG.corpus.kind == "demo":  # faces of real people are not put into a figure unasked
    REPORT["faces"] = f"{RESULTS}/figures/faces.png"
if PLAN.has_unlabelled_test and "ensemble" in PLAN.ensembles and CONFIG.label_space.kind == "single":
    REPORT["submission.zip"] = f"{RESULTS}/submission.zip"

# What `snakemake --report` shows of them, and in which category. The captions are in rules/captions/.
CATEGORIES = {
    "metrics.csv": "Results",
    **{f"tables/{name}.csv": "Results" for name in ("results", "comparisons", "ensembles", "streams")},
    **{f"tables/{name}.csv": "Classes and people" for name in (BY_CLASS, "subjects", *PLAN.tables_of_corpus)},
    "ledger.csv": "What became of each clip",
    "faces": "Classes and people",
}

# The stages in the ledger, in their order, and the files that hold the statuses of their clips.
STAGES = {
    **{PLAN.stage_name("decode", p): all_shards(f"{CACHE}/media/{p}/{{shard}}.status.h5") for p in CONFIG.decode},
    **{PLAN.stage_name("faces", p): all_shards(f"{CACHE}/faces/{p}/{{shard}}.h5") for p in CONFIG.faces},
    **{f"features/{name}": [f"{CACHE}/features/{name}.h5"] for name in PLAN.backbones},
}


# Write the tables, figures and the summary of the run, and the submission if there are unlabelled test clips.
rule report:
    input:
        clips=CLIPS,
        predictions=expand(f"{RESULTS}/predictions/{{model}}.csv", model=ANSWERS),
        oof=expand(f"{RESULTS}/oof/{{model}}.csv", model=ANSWERS),
        seeds=expand(f"{RESULTS}/seeds/{{model}}.csv", model=ANSWERS),
        candidates=expand(f"{RESULTS}/models/{{model}}.csv", model=PLAN.models),
        weights=f"{RESULTS}/models/ensembles.csv",
        stages=[path for paths in STAGES.values() for path in paths],
    output:
        [shown(name, path) for name, path in REPORT.items()],
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    resources:
        mem_mb=memory(2000, per_clip=0.05),
        runtime=minutes(30, per_clip=0.1),
    params:
        recipe=PLAN.report(),
        stages=STAGES,
        met_weights=PLAN.met_weights,
    script:
        "../workflow_scripts/report.py"
