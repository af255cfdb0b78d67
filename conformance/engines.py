"""Who carries out the pieces of a fleet: processes of this machine, or a Dask cluster.

An engine takes a function and its arguments, as ``concurrent.futures`` does, and says how many it takes at once. What
it reports besides a result is that a worker was lost. Knows neither pieces nor endpoints.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import multiprocessing
import os
import signal
import threading
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, Protocol

from conformance.vocabulary import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

_ENDS_S = 5.0
_LEAVES_S = 1.0


@contextlib.contextmanager
def interrupts_held() -> Iterator[Callable[[], None]]:
    """Ctrl-C waits until it is let go: what is started meanwhile is started whole, and inherits that it waits.

    It is for whoever hands out the work; a worker that it met while it starts would end in a traceback.
    """

    def let_go() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    resource_tracker.ensure_running()  # which lets go of SIGINT once it runs, where the forkserver starts it
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield let_go
    finally:
        let_go()


class WorkerLostError(Exception):
    """The worker went away before it answered."""


class Engine(Protocol):
    """Carries out functions somewhere else."""

    slots: int
    """How many functions it carries out at once; more than so many are not handed to it."""
    lost: tuple[type[BaseException], ...]
    """What a future raises when its worker went away."""
    gone: tuple[type[BaseException], ...]
    """What a future raises when the whole engine went away; it may also be cancelled then."""
    local: bool
    """Whether workers share this process's environment."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:  # noqa: ANN401 - any function
        """Hand a function of a module over; it may be carried out more than once when workers are lost."""

    def there(self) -> bool:
        """Whether what was handed over can still be answered."""

    def stop(self) -> None:
        """Carry out nothing further, at once."""

    def close(self) -> None:
        """Let go of the workers."""


@dataclass(eq=False, slots=True)
class _Worker:
    """A process, our end of its pipe, and what it has not answered."""

    process: BaseProcess
    connection: Connection
    waiting: dict[int, Future[Any]] = field(default_factory=dict)
    lost: bool = False


class LocalProcesses:
    """Processes of this machine, forked from one that has imported what they need, each with a few threads.

    A process that is lost is replaced when there is something to do.
    """

    lost: tuple[type[BaseException], ...] = (WorkerLostError,)
    gone: tuple[type[BaseException], ...] = ()
    local = True

    def __init__(self, workers: int, at_once: int, preload: tuple[str, ...] = ()) -> None:
        """``workers`` processes that carry out ``at_once`` functions each."""
        self.slots, self._at_once = workers * at_once, at_once
        methods = multiprocessing.get_all_start_methods()
        self._context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        if preload and "forkserver" in methods:
            self._context.set_forkserver_preload(list(preload))
        self._lock, self._numbers = threading.Lock(), itertools.count()
        self._workers = [self._start() for _ in range(workers)]

    def pids(self) -> tuple[int, ...]:
        """The processes that are there now."""
        with self._lock:
            return tuple(worker.process.pid or 0 for worker in self._workers if not worker.lost)

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:  # noqa: ANN401 - any function
        """Hand a function to the process with the least to do."""
        future: Future[Any] = Future()
        with self._lock:
            self._workers = [self._start() if worker.lost else worker for worker in self._workers]
            worker = min(self._workers, key=lambda one: len(one.waiting))
            number = next(self._numbers)
            worker.waiting[number] = future
            with contextlib.suppress(OSError):  # the listener finds out, too, and says so to all who wait
                worker.connection.send((number, function, arguments))
        return future

    def there(self) -> bool:
        """They are this process's own, and replaced."""
        return True

    def stop(self) -> None:
        """Kill every process."""
        for worker in self._workers:
            worker.process.kill()
            worker.process.join()

    def close(self) -> None:
        """Let processes end what they do, and wait for that."""
        for worker in self._workers:
            with contextlib.suppress(OSError):
                worker.connection.send(None)
        for worker in self._workers:
            worker.process.join(_ENDS_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._at_once), daemon=True)
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()
        return worker

    def _listen(self, worker: _Worker) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                number, result, error = worker.connection.recv()
                with self._lock:
                    future = worker.waiting.pop(number)
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)
        with self._lock:
            worker.lost = True
            waiting = list(worker.waiting.values())
            worker.waiting.clear()
        for future in waiting:
            future.set_exception(WorkerLostError("the worker went away"))
        worker.process.join()


def _serve(connection: Connection, at_once: int) -> None:
    """A worker's life. When the other end goes away without a word, nothing more is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is for whoever hands out the work
    lock = threading.Lock()

    def carry_out(number: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        try:
            answer: tuple[int, Any, BaseException | None] = (number, function(*arguments), None)
        except Exception as error:  # noqa: BLE001 - it is for whoever handed the function in
            answer = (number, None, RuntimeError(f"{type(error).__name__} in a worker"))
        with lock, contextlib.suppress(OSError):
            connection.send(answer)

    with ThreadPoolExecutor(at_once) as pool:
        while True:
            try:
                message = connection.recv()
            except (EOFError, OSError):
                os._exit(1)
            if message is None:
                return
            pool.submit(carry_out, *message)


class DaskCluster:
    """A cluster of ``dask.distributed`` that is already there, by the address of its scheduler."""

    local = False

    def __init__(self, address: str) -> None:
        """Join the cluster.

        :raises UsageError: the extra is not installed, the scheduler does not answer, or it has no workers.
        """
        try:
            import distributed
            from distributed.comm.core import CommClosedError
            from distributed.scheduler import KilledWorker
        except ImportError as error:
            raise UsageError("--dask: pip install 'obs-conformance[fleet]' first") from error
        self.lost: tuple[type[BaseException], ...] = (KilledWorker,)
        self.gone: tuple[type[BaseException], ...] = (CancelledError, CommClosedError)
        client: Any = distributed.Client
        try:
            self._client: Any = client(address, timeout=10)
        except (OSError, ValueError) as error:
            raise UsageError(f"--dask {address}: no scheduler answers there; start one with dask scheduler") from error
        self.slots = sum(self._client.nthreads().values())
        if not self.slots:
            self._client.close()
            raise UsageError(f"--dask {address}: it has no workers; start some with dask worker {address}")
        self._executor = self._client.get_executor(pure=False)

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:  # noqa: ANN401 - any function
        """Hand a function to the cluster, which repeats it on another worker when one is lost."""
        future: Future[Any] = self._executor.submit(function, *arguments)
        return future

    def there(self) -> bool:
        """Whether the scheduler is there. A client that lost it has given up its futures, even if it finds it again."""
        return bool(self._client.status == "running")

    def stop(self) -> None:
        """Take back what has not begun; what has begun ends and cleans up."""
        if self.there():
            self._executor.shutdown(wait=False)

    def close(self) -> None:
        """Leave the cluster."""
        if self.there():
            self._executor.shutdown(wait=False)
            self._client.close()
        else:
            for name in ("distributed", "distributed.client"):  # these would print how leaving fails, frame by frame
                logging.getLogger(name).setLevel(logging.CRITICAL)
            with contextlib.suppress(Exception):  # nobody is there to take leave of
                self._client.close(timeout=_LEAVES_S)
