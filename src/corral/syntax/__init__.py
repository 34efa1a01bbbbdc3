"""How is each of Slurm's little languages read into a value and written back as text?"""
