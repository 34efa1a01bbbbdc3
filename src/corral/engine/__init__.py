"""What follows from a message, given the cluster's state?"""
