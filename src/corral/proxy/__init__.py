"""How does a browser reach a job's HTTP port under an address of the controller?

A process of its own beside the controller: what a notebook downloads keeps nobody's submission waiting. It asks the controller whose job
it is, and comes to the job's node as `corral port-forward` does.
"""
