"""What has the operator configured?"""
