"""A stand-in for the process that decodes, which starts and never answers."""

import time

if __name__ == "__main__":
    time.sleep(60)
