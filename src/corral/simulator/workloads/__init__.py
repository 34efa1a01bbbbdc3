"""Which work is to be simulated? One module a format; each reads a Workload (work.py)."""
