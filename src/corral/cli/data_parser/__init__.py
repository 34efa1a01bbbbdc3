"""How are records written for programs: --json and --yaml in the shape of Slurm's data_parser v0.0.40?"""
