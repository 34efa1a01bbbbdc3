"""Which jobs start now, where, and why do the others wait?"""
