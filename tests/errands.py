"""What tests have workers do: it has to be in a module that a worker can import."""

import time

from conformance.polite import shared_turn


def one_turn(path, spacing):
    with shared_turn(path, spacing):
        begun = time.time()
        time.sleep(0.001)
        return begun, time.time()


def forever():
    while True:
        time.sleep(60)


def secret_in_an_error():
    raise ValueError("canary")
