"""Answers about new videos, images and sound: by the shipped networks or a finished run, through the stages' code."""
