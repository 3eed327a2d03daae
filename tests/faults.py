"""Faults that are real: a disk that is full, a folder that cannot be written, memory that ends.

What a fault needs of a process is a function of this module that runs in it first, so that it can
be handed to a process that is yet to be started: see `child.Command`.
"""

import contextlib
import ctypes
import os
import resource
import shutil
import subprocess
from pathlib import Path

import pytest

needs_mounts = pytest.mark.skipif(
    not (hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("unshare")),
    reason="only root may mount, and only Linux lets it do so out of everybody's sight",
)


def small(folder, size="1m"):
    """A mount over a folder: a disk of that size and nothing else."""
    return f"mount -t tmpfs -o size={size} none '{folder}'"


def read_only(folder):
    """A mount over a folder: itself, as it is, but not to be written, by root neither."""
    return f"mount --bind '{folder}' '{folder}' && mount -o remount,bind,ro '{folder}'"


class Mounts:
    """Mounts that only processes which `enter` see; nothing of them outlives this one."""

    def __init__(self, pid):
        self.pid = pid

    def seen(self, path):
        """A path as it is behind the mounts."""
        return Path(f"/proc/{self.pid}/root") / Path(path).relative_to("/")


@contextlib.contextmanager
def mounted(*mounts):
    """Make the mounts in a namespace of their own; it ends with its holder's input."""
    script = " && ".join([*mounts, "echo ready", "exec cat"])
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(["unshare", "--mount", "sh", "-c", script], **pipes) as holder:
        try:
            assert holder.stdout.readline() == b"ready\n"
            yield Mounts(holder.pid)
        finally:
            holder.stdin.close()
            holder.wait(10)


def enter(pid):
    """See the mounts that a process holds."""
    with open(f"/proc/{pid}/ns/mnt") as namespace:
        library = ctypes.CDLL(None, use_errno=True)
        if library.setns(namespace.fileno(), 0):
            raise OSError(ctypes.get_errno(), "setns")


def no_file_above(size):
    """Let no file grow beyond so many bytes: what a full disk is to those who may not mount."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def little_memory(more):
    """Let this process take so many bytes of addresses more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
