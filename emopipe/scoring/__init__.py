"""Tables of predictions, their scores with confidence intervals and tests, and ensembles."""
