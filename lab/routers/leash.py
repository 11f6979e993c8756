"""Runs one command in a process group of its own and takes the whole group down when the lab goes, however it goes.

    python -I -S leash.py [--remove DIRECTORY] COMMAND [ARGUMENT ...]

The lab holds our standard input open and never writes to it: its end of file means that the lab is gone, also when it
was killed. Then, or on SIGTERM, the group gets SIGTERM, and SIGKILL when it has not ended two seconds later. After an
end of file DIRECTORY, the lab's temporary folder, is removed as well; the leashes of several routers may do that at
once. We leave the lab's session, so that neither Ctrl-C nor a closed terminal reaches us: the lab first closes its
sessions in order. Should somebody kill the leash itself, the kernel kills the command (PR_SET_PDEATHSIG). Exit status:
the command's own, or as a shell has it 128 + N when signal N ended the command. Standard library only: it starts in
some 20 ms.
"""

import ctypes
import os
import select
import signal
import stat
import sys
import time

PR_SET_PDEATHSIG = 1
GRACE_SECONDS = 2.0
KILLED = 128
IGNORED = (signal.SIGHUP, signal.SIGINT)


def main(arguments: list[str]) -> int:
    remove = ""
    if arguments[0] == "--remove":
        remove, arguments = arguments[1], arguments[2:]
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    _leave_session()
    status = _run(arguments)
    if remove and _lab_is_gone():
        _remove(remove)
    return status


def _run(command: list[str]) -> int:
    """Runs the command until it ends, SIGTERM comes, or the lab is gone."""
    wake_read, wake_write = os.pipe()
    signal.set_wakeup_fd(_nonblocking(wake_write))
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    leash = os.getpid()
    child = os.fork()
    if child == 0:
        _become(command, leash)
    while True:
        ready, _, _ = select.select([0, wake_read], [], [])
        signals = os.read(wake_read, 64) if wake_read in ready else b""
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            _signal_group(child, signal.SIGKILL)  # what the command left behind
            return _exit_status(status)
        if (0 in ready and not os.read(0, 4096)) or signal.SIGTERM in signals:
            return _end(child)


def _exit_status(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return KILLED - code if code < 0 else code


def _become(command: list[str], leash: int) -> None:
    os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE, *IGNORED):
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != leash:
        os._exit(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(127)


def _end(child: int) -> int:
    _signal_group(child, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline:
        ended, _ = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        select.select([], [], [], 0.02)
    _signal_group(child, signal.SIGKILL)
    return 0


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def _leave_session() -> None:
    try:
        os.setsid()
    except PermissionError:  # a shell with job control made us a group's leader: then nobody else's signals reach us
        return


def _lab_is_gone() -> bool:
    ready, _, _ = select.select([0], [], [], 0)
    return bool(ready) and not os.read(0, 4096)


def _remove(directory: str) -> None:
    """Removes the lab's folder, unless it is not ours; what another leash has removed already is no fault."""
    import shutil  # only here: it would double the time we need to start

    try:
        found = os.lstat(directory)
    except OSError:
        return
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
        shutil.rmtree(directory, ignore_errors=True)


def _nonblocking(descriptor: int) -> int:
    os.set_blocking(descriptor, False)
    return descriptor


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
