"""What runs on this node, and how did it end?"""
