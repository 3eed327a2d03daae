"""The command in processes of its own, real ones that can be killed.

They are forked from a process that has torch loaded, which saves each of them its first seconds.
"""

import functools
import math
import multiprocessing
import os
import sys
import time

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["effcc.cli", "effcc.train.run", "sklearn.datasets"])


class Command:
    """`effcc WORDS` under way in a project; every step is kept if `always`.

    `first` is what the process does before anything else, such as a fault of `faults`.
    """

    def __init__(self, project, *words, always=False, first=None):
        self.runs, self.before = project.runs, set(project.runs.glob("*/*"))
        self.log = project.root / f"said-{time.monotonic_ns()}.txt"
        arguments = ([str(word) for word in words], project.root, self.log, always, first)
        self.process = _CONTEXT.Process(target=_run, args=arguments)
        self.process.start()
        self.pid = self.process.pid

    def wait(self):
        """The exit code, or minus the signal that killed it."""
        self.process.join(120)
        assert self.process.exitcode is not None, f"hangs: {self.said}"
        return self.process.exitcode

    def signal(self, number, everyone=False):
        """Send a signal to the process, or to all that it has started too."""
        if self.process.is_alive():
            (os.killpg if everyone else os.kill)(self.pid, number)

    @property
    def said(self):
        return self.log.read_text() if self.log.exists() else ""

    def until(self, name):
        """Wait for a file of that name in this run's folder; whether it came before the end."""
        while self.process.is_alive():
            if any((folder / name).exists() for folder in self.folders):
                return True
            time.sleep(0.0005)
        return False

    @property
    def folders(self):
        return sorted(set(self.runs.glob("*/*")) - self.before)


def outcome(function, *arguments, first=None):
    """What a function returns in a process of its own, or the error that it raises."""
    mine, theirs = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_call, args=(theirs, first, function, arguments))
    process.start()
    theirs.close()
    try:
        assert mine.poll(60), "hangs"
        return mine.recv()
    finally:
        process.kill()
        process.join()


def together(*functions):
    """What functions return that are begun at the same moment, each in a process of its own."""
    gate = _CONTEXT.Barrier(len(functions))
    pipes, processes = [], []
    for function in functions:
        mine, theirs = _CONTEXT.Pipe(duplex=False)
        processes.append(_CONTEXT.Process(target=_call, args=(theirs, gate.wait, function, ())))
        processes[-1].start()
        theirs.close()
        pipes.append(mine)
    try:
        assert all(pipe.poll(60) for pipe in pipes), "hangs"
        return [pipe.recv() for pipe in pipes]
    finally:
        for process in processes:
            process.kill()
            process.join()


def _call(connection, first, function, arguments):
    try:
        if first:
            first()
        connection.send(function(*arguments))
    except Exception as error:
        connection.send(error)


def _run(words, folder, log, always, first):
    os.setsid()  # a group of its own, for `everyone`
    multiprocessing.set_start_method("fork", force=True)  # for loaders, as usual
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    if first:
        first()
    os.chdir(folder)
    from effcc import cli
    from effcc.train import run

    if always:
        run.Keeper = functools.partial(run.Keeper, every=0, share=math.inf)
    sys.exit(cli.main(words))
