"""What does every long-running program need?"""
