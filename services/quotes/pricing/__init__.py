"""Pricing: promotions on a document, from what was quoted to what is paid. Pure: no I/O, no clock, no protobuf."""
