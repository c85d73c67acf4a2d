"""An interrupt is heard even where Python forgets it."""

import os
import subprocess
import sys

FORGETFUL = """
import os, signal, sys, time, weakref
from locant.lab import interrupts

class Thing: pass

interrupts.check()
interrupts.note()
thing = Thing()
reference = weakref.ref(thing, lambda gone: os.kill(os.getpid(), signal.SIGINT) or [None for _ in range(10)])
del thing  # the exception that the signal raises in the callback is printed and forgotten
print("went on", flush=True)
try:
    interrupts.check()
except KeyboardInterrupt:
    print("heard")
"""


def test_an_interrupt_in_a_callback_is_not_lost():
    told = subprocess.run([sys.executable, "-c", FORGETFUL], capture_output=True, text=True, check=True, env=os.environ)
    assert told.stdout.split("\n") == ["went on", "heard", ""]
    assert "KeyboardInterrupt" in told.stderr
