"""Every speed that we claim, as a ratio to a floor that was measured in the same run."""
