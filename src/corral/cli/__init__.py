"""What did the user type, and what do we print?"""
