"""Ranks of one mpirun that run commands of their own.

mpirun has a way for that, a colon between the commands. Debian 13's (Open MPI 5.0.7) ends with a
segmentation fault over it, whatever the commands are, so each rank picks its own here.
"""
import shlex


def by_rank(*commands):
    """What stands behind `mpirun -n` and their number: words of a command, a list for each rank."""
    cases = (f"{rank}) exec {shlex.join(map(str, command))} ;;" for rank, command in enumerate(commands))
    return ["sh", "-c", f"case $OMPI_COMM_WORLD_RANK in {' '.join(cases)} esac"]
