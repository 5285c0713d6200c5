"""Frames and sound out of video files, which may be broken or hostile: each clip in a process that can be lost."""
