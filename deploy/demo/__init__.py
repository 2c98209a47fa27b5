"""A company of our own making, so that a newcomer finds something to look at."""
