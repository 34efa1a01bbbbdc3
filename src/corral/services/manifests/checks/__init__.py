"""Which rules hold for the objects of a kind? Kubernetes' own validation, in its words."""
