"""A control group with a limit on memory, where this machine lets us make one."""
import os
import tempfile


class MemoryGroup:
    """`with MemoryGroup(bytes) as group`: group.join is a preexec_fn, after which a process and its children are in
    it; beyond the limit one of them is killed. group.folder is None where no group can be made."""

    def __init__(self, limit):
        self.limit, self.folder = limit, None

    def _make(self, parent, name):
        folder = tempfile.mkdtemp(prefix="lockstep-", dir=parent)
        try:
            with open(os.path.join(folder, name), "w", encoding="ascii") as file:
                file.write(str(self.limit))
        except OSError:
            os.rmdir(folder)
            raise
        self.folder = folder

    def __enter__(self):
        for parent, name in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
            try:
                if self.folder is None and os.path.exists(os.path.join(parent, "cgroup.procs")):
                    self._make(parent, name)
            except OSError:
                continue
        return self

    def join(self):
        with open(os.path.join(self.folder, "cgroup.procs"), "w", encoding="ascii") as file:
            file.write(str(os.getpid()))

    def __exit__(self, *_):
        if self.folder:
            os.rmdir(self.folder)
