# What happens at the start and at the end of a run.
from emopipe.cache import preserved
from emopipe.report import summary
from emopipe.workflow import after_failure, resume, scheduler_timers, submission


onstart:
    TERMINAL.begin(cluster=resources.is_cluster(workflow))
    if not resources.is_cluster(workflow):
        refuse_absent_gpu()
    resume.begin_workflow(Path.cwd(), workflow)
    if resources.is_cluster(workflow):
        submission.record(PLAN)


onsuccess:
    end_run()
    if any(job.rule.name == "report" for job in workflow.dag.jobs):
        summary.show(Path(RESULTS))
    TERMINAL.muted = True  # the results are the last word


onerror:
    end_run()
    stash_stale_outputs()


def end_run():
    """Remove what only a killed run needs: the record of this run, and the results that jobs preserved."""
    scheduler_timers.cancel()
    resume.end(Path.cwd())
    submission.clear(CONFIG)
    preserved.clear(Path(CACHE, "weights"), Path(RESULTS, "models"))


def stash_stale_outputs():
    """Move the old outputs that Snakemake has put back, so that the next run does not take them for current."""
    features = [(f"features/{file}", PLAN.features(file)) for name in PLAN.backbones for file in PLAN.views(name)]
    faces = [(f"faces/{preset}", PLAN.faces(preset)) for preset in CONFIG.faces]
    media = [(f"media/{preset}", PLAN.decode(preset)) for preset in CONFIG.decode]
    for shard in SHARDS:
        clips = PLAN.shard_digest(shard)
        for folder, recipe in media + faces + features:
            after_failure.stash_stale_output(Path(CACHE, folder, f"{shard}.h5"), recipe, clips)
        for stage, presets in (("media", CONFIG.decode), ("faces", CONFIG.faces)):
            for preset in presets:
                pictures.discard_unmade(PLAN, stage, preset, shard)
        for folder, recipe in media:
            after_failure.remove_stale_output(Path(CACHE, folder, f"{shard}.status.h5"), recipe, clips)
