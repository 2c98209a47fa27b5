def document(contract, routes, settings): return {}
