"""What are the things of a cluster, and which changes of their states are allowed?"""
