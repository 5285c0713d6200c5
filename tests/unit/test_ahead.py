"""Work in threads before its result is asked for: in order, bounded, and cancelled with the job."""

import threading
import time
from functools import partial

import pytest

from emopipe.core.ahead import ahead, thread_pool


def test_results_come_in_order_and_errors_where_they_are_asked_for():
    def double(n):
        time.sleep(0.002 * (5 - n))
        return 2 * n if n != 3 else 1 / 0

    with thread_pool(4) as pool:
        results = ahead(((f"key {n}", partial(double, n)) for n in range(5)), pool, 4)
        for n in (0, 1, 2):
            key, result = next(results)
            assert (key, result()) == (f"key {n}", 2 * n)
        key, result = next(results)
        with pytest.raises(ZeroDivisionError):
            result()
        key, result = next(results)
        assert (key, result()) == ("key 4", 8)
        assert next(results, None) is None


def test_no_more_tasks_are_begun_than_the_depth():
    begun = []
    with thread_pool(1) as pool:
        results = ahead(((n, partial(begun.append, n)) for n in range(9)), pool, 2)
        next(results)[1]()
        pool.submit(int).result()  # all that was submitted is done
        assert begun == [0, 1, 2]


def test_tasks_that_wait_are_cancelled_if_the_job_fails():
    begun, is_open = [], threading.Event()

    def wait(n):
        begun.append(n)
        is_open.wait(10)

    with pytest.raises(KeyboardInterrupt), thread_pool(1) as pool:
        for n in range(5):
            pool.submit(wait, n)
        while not begun:
            time.sleep(0.001)
        threading.Timer(0.05, is_open.set).start()
        raise KeyboardInterrupt
    assert begun == [0]
