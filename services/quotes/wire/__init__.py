"""Between the protos and the domain: one module a noun."""
