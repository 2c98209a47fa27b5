"""Pricing: promotions on a document, from what was quoted to what is paid. Pure: no I/O, no clock, no protobuf.

`model` is what goes in and comes out. `problem.prepare` settles eligibility and turns amounts into integers,
`evaluation.compute` prices a selection or refuses it, `solver` finds the best one, `report` and `explanation`
make the answer, `validation.check` refuses promotions that cannot be meant. The rules: `docs/promotions.md`.
"""
