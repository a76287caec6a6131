#!/bin/sh
# mpirun.sh RANKS PROGRAM...: under mpirun, also as root and with fewer cores than ranks.
command -v mpirun >/dev/null || { echo "mpirun is not installed"; exit 77; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# MPI and its modules leak at their end; memory errors are still found.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"
ranks=$1
shift
exec mpirun --oversubscribe -n "$ranks" "$@"
