"""What an input may do to the process that reads it: the rest ends as a finding.

Python says through audit events what it opens, starts and compiles. A hook cannot be taken back, so
this is for processes that do nothing else. What a C library opens by itself it does not see.
"""

import contextlib
import os
import resource
import signal
import sys
import time
from pathlib import Path

SECONDS = 2.0  # of this process's own time, so that a busy machine finds nothing
BYTES = 500 * 10**6  # beyond what the process had before an input

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Events about files, and which of their arguments are paths.
_READ = {"os.listdir": (0,), "os.scandir": (0,), "glob.glob": (), "os.listxattr": (0,)}
_WRITE = {
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.link": (0, 1),
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.rmdir": (0,),
    "os.setxattr": (0,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.utime": (0,),
    "shutil.rmtree": (0,),
}
# Events that no reader has a reason for.
_NEVER = (
    *("socket.", "urllib.", "http.client.", "ftplib.", "smtplib.", "sqlite3.", "webbrowser."),
    *("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.spawn"),
    *("os.kill", "os.putenv", "os.unsetenv", "ctypes.", "pickle.find_class", "marshal.", "code."),
    *("exec", "compile", "cpython.run_", "sys.addaudithook", "function.__new__"),
)


class Violation(BaseException):
    """Something that no input may do; no `except Exception` swallows it."""


class Guard:
    """Watches one process from its making on, in the blocks that ask for it."""

    def __init__(self, folder, reads=(), lazy=()):
        """Files below `folder` may be written, those in `reads` and of Python be read.

        `lazy` are modules, with what is in them, that may be imported by an input.
        """
        here = Path(__file__).resolve()
        python = (sys.prefix, sys.base_prefix, here.parents[2] / "effcc", here.parent)
        self.writable = (os.path.realpath(folder),)
        self.readable = tuple(map(os.path.realpath, (folder, *python, *reads)))
        self.lazy = tuple(lazy)
        "".encode("unicode_escape")  # which Python imports when first asked
        self.armed = False
        self.violations = []
        self.seconds = 0.0  # the last input took
        self.grown = 0  # bytes it needed beyond those that were held
        signal.signal(signal.SIGPROF, self._too_slow)
        sys.addaudithook(self._heard)

    @contextlib.contextmanager
    def watching(self):
        """Raises a Violation at once, or after the block if something swallowed it."""
        self.violations.clear()
        Path("/proc/self/clear_refs").write_text("5")  # the peak of memory counts from here
        space, held = _memory("VmSize", "VmRSS")
        # What asks for far more at once gets a MemoryError before the machine suffers.
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (space + 4 * BYTES, hard))
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, SECONDS, SECONDS / 4)
        self.armed = True
        try:
            yield
        finally:
            self.armed = False
            signal.setitimer(signal.ITIMER_PROF, 0)
            self.seconds = time.process_time() - began
            self.grown = _memory("VmHWM")[0] - held
        if self.violations:
            raise Violation(self.violations[0])
        if self.seconds > SECONDS:
            raise Violation(_SLOW)
        if self.grown > BYTES:
            raise Violation(f"takes more than {BYTES // 10**6} MB")

    def _refuse(self, message):
        self.violations.append(message)
        raise Violation(message)

    def _too_slow(self, *_):
        if self.armed:
            self._refuse(_SLOW)

    def _heard(self, event, arguments):
        if not self.armed:
            return
        if event == "open":
            path, _, flags = arguments
            self._hold(path, self.writable if flags & _WRITING else self.readable, event)
        elif event == "import":
            name = arguments[0]
            if not any(name == of or name.startswith(f"{of}.") for of in self.lazy):
                self._refuse(f"imports {name}")
        elif event in _READ:
            for number in _READ[event]:
                self._hold(arguments[number], self.readable, event)
        elif event in _WRITE:
            for number in _WRITE[event]:
                self._hold(arguments[number], self.writable, event)
        elif event.startswith(_NEVER) and not self._importing(event):
            self._refuse(f"{event} {arguments!r:.200}")

    def _importing(self, event):
        """Whether the code that runs is that of a module which may be imported late."""
        if not self.lazy or event not in ("exec", "marshal.loads", "compile"):
            return False
        frame = sys._getframe(2)
        while frame and "importlib" not in frame.f_code.co_filename:
            frame = frame.f_back
        return frame is not None

    def _hold(self, path, roots, event):
        if isinstance(path, int):  # of a file that is open
            return
        real = os.path.realpath(os.fsdecode(path if path is not None else "."))
        if not any(real == root or real.startswith(root + os.sep) for root in roots):
            self._refuse(f"{event} {real}")


_SLOW = f"takes more than {SECONDS:g} s"


def _memory(*names):
    """Bytes of this process: of its address space, of memory that it has or had at most."""
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return [int(status[name].split()[0]) * 1024 for name in names]
