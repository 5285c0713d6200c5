"""How finished runs differ, and what that did: their configs, what made their files, their data, and their scores.

runs.py opens the folders of runs. configs.py, made_by.py and data.py each find one kind of difference, scores.py
compares what the runs predict, and shown.py writes all of it on the terminal.
"""
