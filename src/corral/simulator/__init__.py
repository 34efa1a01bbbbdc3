"""What would the engine do under a virtual clock: with faults from a seed, or with a workload (`corral simulate`)?"""
