"""Draw the clips if the corpus is the demo; write the clip table and its shards."""

from pathlib import Path

from emopipe.workflow.job import job_log

# The processes that draw the demo import this file again, as a module.
if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        from emopipe.corpora import demo
        from emopipe.stages import corpus
        from emopipe.workflow import scan
        from emopipe.workflow.config import parse_again

        config = parse_again({key: value for key, value in snakemake.config.items() if key != "job"})
        if config.corpus.kind == "demo":
            options = demo.CorpusOptions.model_validate(config.corpus.options)
            demo.draw(scan.clips_root(config), options, snakemake.threads)
        shards = [Path(path) for path in snakemake.output.shards]
        corpus.run(snakemake.params.recipe, scan.scan(config), Path(snakemake.output.clips), shards)
