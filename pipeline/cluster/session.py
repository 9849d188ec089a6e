"""The connection to Ray: a cluster, or a Ray of this make's own on this machine."""

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.base.extras import install_line
from pipeline.base.fault import Fault
from pipeline.cluster.needs import Needs
from pipeline.cluster.task import Piece, StageTask, run_stage

_REACH = 5.0  # seconds to reach the head node
_LOST = 20.0  # seconds without it, after which it is lost
_INTERVAL = 2.0  # seconds between two looks
_OBJECTS = 80 * 1024 * 1024  # bytes of Ray's object store, near its minimum: tasks return lines of text


class Lost(Exception):
    """The worker or the node of a task was lost before the task ended; the text says how."""


class Cancelled(Exception):
    """A task ended because cancel() was called."""


class Session:
    """A connection of this process to Ray. No method but close() may be called after lost() was."""

    def __init__(self, address: str, folder: Path) -> None:
        """Connects, or starts Ray on this machine.

        Args:
            address: host:port of the head node of a cluster; empty to start Ray here.
            folder: for the files of a Ray that is started here.

        Raises:
            Fault: when Ray is not installed, or the cluster cannot be reached.
        """
        if find_spec("ray") is None:
            raise Fault(f"Ray is not installed: {install_line('ray')}; or use RUNNER=local")
        self._is_own = not address
        self._head = _head_of(address) if address else None
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        if self._is_own:
            # Only this make may submit to it. Ray would keep a token in the home folder.
            os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        import ray

        self._ray = ray
        options: dict[str, Any] = {"address": address}
        if self._is_own:
            options = {
                "address": "local", "_temp_dir": str(folder), "include_dashboard": False,
                "object_store_memory": _OBJECTS, "_node_ip_address": "127.0.0.1",
            }  # fmt: skip
        try:
            context: Any = ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
        except Exception as error:  # of many kinds: versions, tokens, no Ray node on this machine
            raise Fault(self._describe(error, address)) from error
        self._head = self._head or _head_of(context.address_info["gcs_address"])
        self._run = ray.remote(_run_here)
        self._closed = threading.Event()

    def _describe(self, error: Exception, address: str) -> str:
        reason = " ".join(str(error).split())[:400]
        if self._is_own:
            return f"Ray does not start on this machine ({reason})"
        return (
            f"RAY_ADDRESS={address}: cannot join this cluster ({reason}); make must run on a machine that belongs to it"
            " (ray start --address=...), with the same versions of Ray and Python (docs/scaling.md)"
        )

    def close(self) -> None:
        """Disconnects, and ends a Ray that was started here with all its processes."""
        self._closed.set()
        self._ray.shutdown()

    def watch(self, lost: Callable[[str], None]) -> None:
        """Calls `lost` with a sentence, in a thread, when the head node was gone for some time."""
        threading.Thread(target=self._watch, args=(lost,), daemon=True).start()

    def _watch(self, lost: Callable[[str], None]) -> None:
        seen = time.monotonic()
        assert self._head
        while not self._closed.wait(_INTERVAL):
            if _answers(self._head, _INTERVAL):
                seen = time.monotonic()
            elif time.monotonic() - seen > _LOST:
                lost(f"the head node of Ray at {self._head[0]}:{self._head[1]} was lost; start it, then run make again")
                return

    def nodes(self) -> list[dict[str, float]]:
        """Returns what each node offers: "CPU", and "memory" in bytes."""
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def submit(self, task: StageTask, needs: Needs, label: str) -> Any:
        """Submits a task; returns the stream of what it prints, for read() and cancel().

        Args:
            task: the command.
            needs: what the task declares.
            label: its name in Ray's lists.
        """
        cores = max((node.get("CPU", 0.0) for node in self.nodes()), default=0.0)
        return self._run.options(
            name=label,
            num_cpus=min(needs.cpus, cores) or needs.cpus,
            memory=needs.memory,
            max_retries=0,  # Ray would repeat what has been printed; attempts.py tries again
            scheduling_strategy="SPREAD" if needs.is_heavy else "DEFAULT",
        ).remote(task)

    def read(self, stream: Any) -> Iterator[Piece]:
        """Yields what a task prints.

        Raises:
            Lost: when its worker or node is lost, or the node cannot start the stage.
            Cancelled: after cancel().
            Fault: as run_stage() does.
        """
        exceptions = self._ray.exceptions
        try:
            for piece in stream:
                yield self._ray.get(piece)
        except exceptions.TaskCancelledError as error:
            raise Cancelled from error
        except exceptions.RayTaskError as error:
            if isinstance(error.cause, Fault):
                raise error.cause from None
            if "failed to import on the worker" in str(error):
                raise Fault(
                    "a node of Ray cannot import the pipeline: the project must be on a folder that all nodes share, at"
                    " the same path (docs/scaling.md)"
                ) from error
            # The stage's own end comes as its status: this is of the node, such as a full /tmp.
            raise Lost(f"its node failed ({_last_line(error)})") from error
        except exceptions.OutOfMemoryError as error:
            raise Lost("its node ran out of memory") from error
        except exceptions.NodeDiedError as error:
            raise Lost("its node was lost") from error
        except (exceptions.WorkerCrashedError, exceptions.ObjectLostError, exceptions.LocalRayletDiedError) as error:
            raise Lost("its worker was lost") from error

    def cancel(self, stream: Any) -> None:
        """Interrupts a task; one that has ended stays so."""
        with suppress(Exception):
            self._ray.cancel(stream)


def _run_here(task: StageTask) -> Iterator[Piece]:
    import ray

    yield from run_stage(task, f"{ray.util.get_node_ip_address()}/{ray.get_runtime_context().get_node_id()[:8]}")


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()[:400]


def _head_of(address: str) -> tuple[str, int]:
    """Returns host and port of a head node that answers.

    Raises:
        Fault: when the address is malformed, or nobody answers there.
    """
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise Fault(f"RAY_ADDRESS={address}: expected host:port of the cluster's head node, such as 10.0.0.5:6379")
    head = host.strip("[]"), int(port)
    if not _answers(head, _REACH):
        raise Fault(
            f"RAY_ADDRESS={address}: nothing answers there; start the head node with ray start --head, or correct the"
            " address; without RAY_ADDRESS make starts Ray on this machine"
        )
    return head


def _answers(head: tuple[str, int], seconds: float) -> bool:
    try:
        socket.create_connection(head, seconds).close()
    except OSError:
        return False
    return True
