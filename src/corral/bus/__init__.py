"""How do the programs reach each other?"""
