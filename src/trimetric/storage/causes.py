"""What of the machine is behind an error: libraries wrap the system's errors in their own."""

import errno
import os
import re

_NUMBER = re.compile(r"\(os error (\d+)\)|code: (\d+), kind:")
_TOLD = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO, errno.EROFS)
_BYTES = re.compile(r"\d+ requested and \d+ written")  # all that NumPy says of a full disk
_MEMORY = re.compile(
    r"[Uu]nable to allocate|[Cc]annot allocate memory|bad_alloc|[Oo]ut of memory|"
    r"can't start new thread|thread creation failed|failed to map segment|"
    r"Could not find/load shared object file 'libllvmlite",
)

_LOW = 2_000_000_000  # bytes of address space that all libraries together may need

REMEDIES = {
    errno.ENOSPC: "free some space there or choose another folder",
    errno.EDQUOT: "free some of your quota there or choose another folder",
    errno.EROFS: "choose a folder on a file system that can be written",
    errno.EACCES: "ask for permission or choose another place",
    errno.EPERM: "ask for permission or choose another place",
    errno.ENOTDIR: "a file stands where a folder is needed; move it or choose another folder",
    errno.EEXIST: "a file stands where a folder is needed; move it or choose another folder",
    errno.EISDIR: "a folder stands where a file is needed; move it or choose another name",
    errno.ELOOP: "links lead back to themselves there; mend them or choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "this process may open too few files; raise the limit (ulimit -n 1024)",
    errno.ENFILE: "too many files are open on this machine; close some programs",
    errno.ENOMEM: "more memory is needed; raise the limit (ulimit -v), or free some",
}


def system_error(error: BaseException) -> OSError | None:
    """Return the error of the system that an error stands for, None if it does not say of one.

    An error of a library stands for what its text names: a full disk, too many open files, no
    memory. Errors that caused it are looked at too.
    """
    seen: BaseException | None = error
    while seen is not None:
        found = _number_of(seen)
        if found:
            return OSError(found, os.strerror(found))
        seen = seen.__cause__ or seen.__context__
    return None


def _number_of(error: BaseException) -> int:
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    text = str(error)
    if _MEMORY.search(text):
        return errno.ENOMEM
    if isinstance(error, OSError) and error.errno:
        return error.errno
    if _BYTES.search(text):
        return errno.ENOSPC
    named = _NUMBER.search(text)
    if named:
        return int(named[1] or named[2])
    return next((number for number in _TOLD if os.strerror(number) in text), 0)


def short_of_memory(error: BaseException) -> bool:
    """Return whether a library that would not load may have lacked memory: it is limited, and low.

    Loaders say of a file that it could not be mapped in many ways, and not that memory ended.
    """
    if not isinstance(error, ImportError | OSError | AttributeError | RuntimeError):
        return False
    try:
        import resource
    except ImportError:
        return False
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return limit != resource.RLIM_INFINITY and limit < _LOW
