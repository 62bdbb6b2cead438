"""A disk that fails at the step a test names.

The kernel asks us about each of a program's calls that change or open a file (seccomp's user notification), and we
say whether it may go on. strace can make calls fail too, but counts them for each thread by itself; here the Nth is
the Nth of the whole program. Run as a program this file is the command that starts another under such a disk."""

import ctypes
import errno
import fcntl
import os
import platform
import re
import select
import socket
import struct
import sys
import threading

# The kernel's numbers (unistd.h, by machine), and what the calls name: an open file, one name, two names.
CALLS = {
    "x86_64": {"write": 1, "pwrite64": 18, "flock": 73, "fsync": 74, "fdatasync": 75, "openat": 257,
               "unlinkat": 263, "renameat": 264, "utimensat": 280, "renameat2": 316},
    "aarch64": {"write": 64, "pwrite64": 68, "flock": 32, "fsync": 82, "fdatasync": 83, "openat": 56,
                "unlinkat": 35, "renameat": 38, "utimensat": 88, "renameat2": 276},
}.get(platform.machine(), {})  # fmt: skip
NAMES = {number: name for name, number in CALLS.items()}
BY_NAME = ("openat", "unlinkat", "renameat", "renameat2")

# seccomp.h: struct seccomp_notif and its answer, and the two requests that carry them.
ASKED, ANSWER = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
RECEIVE, SEND = 0xC0502100, 0xC0182101
GO_ON = 1


class Disk:
    """Under `command` a program has this disk. Only files below `root` count."""

    def __init__(self, root, door):
        self.root = os.fspath(root)
        self.command = [sys.executable, "-B", __file__, os.fspath(door)]
        self.steps, self.failed = [], []
        self.lock = threading.Lock()
        self.heal()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.fspath(door))
        self.listener.listen()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def count(self):
        """Forgets the steps so far; gives them."""
        with self.lock:
            steps, self.steps = self.steps, []
        return steps

    def fail(self, call, error, first=1, last=sys.maxsize, where=""):
        """From now on counted: the first to the last call of that name fail, of those that `where` is found in."""
        with self.lock:
            self.call, self.error, self.first, self.last = call, error, first, last
            self.where = re.compile(where)
            self.steps = []

    def heal(self):
        self.fail(None, 0)

    def _watch(self):
        connection, _ = self.listener.accept()
        _, (questions,), _, _ = socket.recv_fds(connection, 1, 1)
        self.listener.close()
        connection.close()
        waiting = select.poll()
        waiting.register(questions, select.POLLIN)
        while not waiting.poll()[0][1] & select.POLLHUP:
            question = bytearray(ASKED.size)
            try:
                fcntl.ioctl(questions, RECEIVE, question)
                identity, thread, _, number, _, _, *arguments = ASKED.unpack(question)
                error = self._judge(thread, NAMES[number], arguments)
                answer = ANSWER.pack(identity, 0, -error, 0) if error else ANSWER.pack(identity, 0, 0, GO_ON)
                fcntl.ioctl(questions, SEND, answer)
            except OSError as gone:  # the thread that asked was killed, or a signal made it ask again
                if gone.errno not in (errno.ENOENT, errno.EINTR):
                    raise
        os.close(questions)

    def _judge(self, thread, call, arguments):
        """The error that the call shall have, or 0."""
        path = name_of_file(thread, call, arguments)
        if not path.startswith(self.root + "/"):
            return 0
        step = f"{call} {os.path.relpath(path, self.root)}"
        with self.lock:
            self.steps.append(step)
            if call != self.call or not self.where.search(step):
                return 0
            self.first, self.last = self.first - 1, self.last - 1
            if self.first > 0 or self.last < 0:
                return 0
            self.failed.append(step)
            return self.error


def name_of_file(thread, call, arguments):
    folder = ctypes.c_int(arguments[0] & 0xFFFFFFFF).value
    try:
        opened = os.readlink(f"/proc/{thread}/{'cwd' if folder == -100 else f'fd/{folder}'}")
        return os.path.join(opened, text_at(thread, arguments[1])) if call in BY_NAME else opened
    except OSError:
        return ""


def text_at(thread, address):
    with open(f"/proc/{thread}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        return os.fsdecode(memory.read(4096).partition(b"\0")[0])


def works():
    """Whether the machine lets a program be asked about: tried in a child."""
    return bool(CALLS) and os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-B", __file__]) == 0


def ask_about(numbers):
    """A descriptor where this process's further calls of those numbers are asked about."""

    class Filter(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]

    def instruction(code, yes, no, value):
        return struct.pack("=HBBI", code, yes, no, value)

    load_number, if_equal, result = 0x20, 0x15, 0x06
    ask, allow = 0x7FC00000, 0x7FFF0000
    count = len(numbers)
    code = instruction(load_number, 0, 0, 0)
    for place, number in enumerate(numbers):
        code += instruction(if_equal, count - place, 0, number)
    code += instruction(result, 0, 0, allow) + instruction(result, 0, 0, ask)

    libc = ctypes.CDLL(None, use_errno=True)
    set_no_new_privileges, set_filter, new_listener = 38, 1, 1 << 3
    libc.prctl(set_no_new_privileges, 1, 0, 0, 0)
    seccomp = {"x86_64": 317, "aarch64": 277}[platform.machine()]
    questions = libc.syscall(seccomp, set_filter, new_listener, ctypes.byref(Filter(len(code) // 8, code)))
    if questions < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return questions


def main(door=None, *command):
    if door is None:
        ask_about([])
        return
    with socket.socket(socket.AF_UNIX) as way:
        way.connect(door)
        questions = ask_about(list(CALLS.values()))
        socket.send_fds(way, [b"\0"], [questions])
        os.close(questions)
        os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
