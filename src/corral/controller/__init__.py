"""How does the engine run against a real clock, a store, a bus and its users?"""
