"""How does a Python program use a cluster?"""
