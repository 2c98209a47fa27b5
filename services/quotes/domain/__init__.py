"""What can be sold, at what price, and what customers were offered and bought: one module a noun."""
