"""Runs a command and ends it when standard input closes.

The parent holds the other end of a pipe. However the parent ends, SIGKILL included, the pipe closes and the command
goes with it: no server outlives the test that started it. Ctrl-C reaches the leash as well as the parent, and must not cut it.

Until then the parent may write one byte at a time: `s` stops the command (SIGSTOP), `c` lets it continue. Each byte is
written back to standard output when it has been done. What the command says goes to standard error.
"""

import os
import signal
import subprocess
import sys
import threading

SIGNALS = {b"s": signal.SIGSTOP, b"c": signal.SIGCONT}

child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)
for ends in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(ends, signal.SIG_IGN)


def hold():
    try:
        while byte := os.read(0, 1):
            os.killpg(child.pid, SIGNALS[byte])
            os.write(1, byte)
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


threading.Thread(target=hold, daemon=True).start()
status = child.wait()
os._exit(status if status >= 0 else 128 - status)
