"""What this machine is good at: measured once in half a second, so that nothing about it has to be assumed.

Which matrix multiplication, attention and allocator are fastest differs between machines, in sign.
``locant.machine.probe.probe`` finds out, ``Choices`` says what was taken and why, and every choice can be forced.
"""
