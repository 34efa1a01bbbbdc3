"""What can one do with a whole cluster: start it, stop it, look at it?"""
