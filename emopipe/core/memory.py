"""Tells an error that means too little memory from all others. Libraries raise many types for it."""

import errno

_WORDS = (
    "DefaultCPUAllocator",  # torch, on the CPU
    "allocate memory",  # torch and the system ("can't", "Cannot"), onnxruntime ("Failed to")
    "not enough memory",  # torch, on other systems
    "out of memory",  # CUDA, pandas' parser
    "Insufficient memory",  # OpenCV
    "_ALLOC_FAILED",  # cuBLAS, cuDNN
    "bad_alloc",  # any code in C++
    "bad allocation",  # the same, from onnxruntime
)
"""Parts of messages. Most libraries raise a plain RuntimeError, so that only the message shows the cause."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that the machine's or the device's memory was too small.

    Such an error says nothing about the file or clip in use. So a caller that treats other errors as damage, or as
    "there is nothing", has to raise this one.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(ValueError("a bad number"))
    (True, False)
    >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."))
    True
    """
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    # torch's class by its name, because importing torch takes seconds and planning a run does not need it
    if any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
        return True
    text = str(error).casefold()
    return any(word.casefold() in text for word in _WORDS)
