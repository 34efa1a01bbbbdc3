"""What do the programs say to each other?"""
