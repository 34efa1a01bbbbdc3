"""What happens on the cluster now, in a terminal (`corral top`)?"""
