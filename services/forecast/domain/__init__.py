"""What the figures of a forecast mean: periods, currencies, categories, trees. Plain Python.

The database adds the deals up by the same definitions (`store.py`); the audit computes everything
again by these, and the two must agree to the minor unit.
"""
