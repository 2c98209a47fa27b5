"""One short method for each RPC: load, ask the domain, save, answer."""
