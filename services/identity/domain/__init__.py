"""The rules of identity: people and what they may do, whom they report to and when, territories,
sign-in, exchange rates, fiscal periods, and how somebody's work goes over to somebody else."""
