"""Where is what must survive a restart?"""
