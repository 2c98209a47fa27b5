"""The forecast as one page to look at and pass on: a file of HTML that needs nothing else."""
