#!/bin/sh
# Tries tests/gpu.sh --device cuda on the device that the CPU emulates (tests/emulated/): that its
# parts ask for what the program does, not how fast; no result of it is a GPU's.
#
#   sh tests/gpu/emulated.sh BUILD-FOLDER [OPTION-OF-gpu.sh...] OUT
set -eu
here=$(cd "$(dirname "$0")" && pwd)
LOCKSTEP_BUILD=$(sh "$here/emulated_programs.sh" "${1:?usage: sh tests/gpu/emulated.sh BUILD-FOLDER [OPTION...] OUT}")
shift
export LOCKSTEP_BUILD CUDA_VISIBLE_DEVICES=0 LOCKSTEP_EMULATED_GPUS=1 LOCKSTEP_PATIENCE="${LOCKSTEP_PATIENCE:-10}"
export LOCKSTEP_EMULATED_WINDOWS="${LOCKSTEP_EMULATED_WINDOWS:-16}" # as the trainings of tests/emulated
exec sh "$here/../gpu.sh" --device cuda --quick "$@"
