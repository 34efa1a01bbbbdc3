"""What does a manifest say, what is wrong in it, and how is an object shown as one?"""
