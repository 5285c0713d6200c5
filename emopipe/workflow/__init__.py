"""What the Snakemake workflow needs: config, plan, scan of the corpus, jobs, resources."""
