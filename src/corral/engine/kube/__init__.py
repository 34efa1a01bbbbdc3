"""How do Kubernetes' objects live in the cluster's state, and how do Pods become jobs?"""
