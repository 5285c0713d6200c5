"""Tests of pages in a real browser: Chromium without a window, by Selenium. `make test-browser` runs them.

EMOPIPE_PAGES names the pages, separated by spaces; EMOPIPE_AXE the file axe.min.js of axe-core.
"""
