"""`python -m package …` and `python script.py …` for tests, without importing torch anew each time.

One process, started with `serve SOCKET PID`, imports what training programs import, and forks a program for each
request, as long as the process PID lives.
A request is made by this file too, run with WARM_PYTHON=SOCKET: it passes on its arguments, environment, folder,
standard streams and signals, and ends with the status of the program, as `python` itself would.
"""

import json
import os  # rather than pathlib, which takes longer to import than a client runs
import shutil
import signal
import socket
import sys

IMPORTS = (
    "accelerate.utils",
    "jinja2",
    "matplotlib.backends.backend_agg",
    "sklearn.metrics",
    "torch._dynamo",  # every optimizer of torch imports it
    "torchvision.transforms.v2",
)
OF_PACKAGE = {"wikiart_lora": ("diffusers", "peft", "transformers")}
_MESSAGE = 1 << 20
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


def client(path: str) -> int:
    """Run a program and return its exit status, negative if a signal ended it."""
    environment = {name: value for name, value in os.environ.items() if name != "WARM_PYTHON"}
    arguments = sys.argv[2:] if sys.argv[1] == "-u" else sys.argv[1:]  # torchrun wants no buffers; here no difference
    request = {"arguments": arguments, "environment": environment, "folder": os.getcwd()}  # noqa: PTH109
    early: list[int] = []
    for number in _PASSED_ON:
        signal.signal(number, lambda number, _: early.append(number))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.connect(path)
        socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2])
        child = int(server.recv(_MESSAGE))
        for number in _PASSED_ON:
            signal.signal(number, lambda number, _: os.kill(child, number))
        for number in early:
            os.kill(child, number)
        return int(server.recv(_MESSAGE))


def serve(path: str, owner: int) -> None:
    """Fork a program for each request; returns in the program, with its arguments in `sys.argv`.

    The process that is started ends as soon as programs can be requested; a child of it answers the requests.
    """
    import importlib

    for module in IMPORTS:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(path)
        listening.listen()
        if os.fork():
            os._exit(0)
        os.setsid()
        listening.settimeout(1)
        while True:
            try:
                connection, _ = listening.accept()
            except TimeoutError:
                if not _lives(owner):
                    shutil.rmtree(os.path.dirname(path), ignore_errors=True)  # noqa: PTH120
                    os._exit(0)
                continue
            message, descriptors, _, _ = socket.recv_fds(connection, _MESSAGE, 3)
            request = json.loads(message)
            for name, value in zip(("-m", *request["arguments"]), request["arguments"], strict=False):
                if name == "-m" and value in OF_PACKAGE:
                    for module in OF_PACKAGE[value]:
                        importlib.import_module(module)
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listening.close()
                if _is_program(connection):
                    return _become(request, descriptors)
            connection.close()
            for descriptor in descriptors:
                os.close(descriptor)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _is_program(connection: socket.socket) -> bool:
    """Fork once more: True in the program; its parent waits for it and sends its number and its status."""
    child = os.fork()
    if child == 0:
        connection.close()
        return True
    connection.send(str(child).encode())
    _, status = os.waitpid(child, 0)
    connection.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(request: dict, descriptors: list[int]) -> None:
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    # What the server opened may be of another kind: a file can seek, a pipe cannot.
    sys.stdin = sys.__stdin__ = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["arguments"]


def main() -> None:
    if path := os.environ.get("WARM_PYTHON"):
        status = client(path)
        if status < 0:  # end as the program did
            if -status != signal.SIGKILL:
                signal.signal(-status, signal.SIG_DFL)
            os.kill(os.getpid(), -status)
        os._exit(status)
    serve(sys.argv[2], int(sys.argv[3]))

    import runpy

    if sys.argv[0] == "-m":
        sys.argv = sys.argv[1:]
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[0])))  # noqa: PTH100, PTH120  (imports nothing else)
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
