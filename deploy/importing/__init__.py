"""`sfa import`: CSV files into the system, through the public bulk API and nothing else."""
