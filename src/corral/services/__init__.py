"""What must change so that Kubernetes' objects become what they say? Pure rules, a module per kind.

Each is a function of one object, a view of the others, and the time; what it wants done it returns as changes.
"""
