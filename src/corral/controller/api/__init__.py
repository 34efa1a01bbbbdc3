"""What may be asked of the controller over HTTP?"""
