"""What the open deals and those not opened yet will bring: a model of histories, and worlds drawn from it.

Pure: arrays in, arrays out, no clock, no database. `histories` says what was known when, `model` learns
from it, `simulation` draws worlds, `backtest` compares what was predicted with what came.
"""
