# shellcheck shell=sh disable=SC2154 # top, work, log and device are gpu.sh's
# Sourced by gpu.sh: what all parts need of the machine. Where CUDA's libraries lie, one cache of
# plans, one GPU, and a loopback interface that is up.

find_libraries() {
    [ -f "$top/libexec/find-cuda.sh" ] && [ -z "${LOCKSTEP_CUDA_LIBRARIES+set}" ] || return 0
    if LOCKSTEP_CUDA_LIBRARIES=$(sh "$top/libexec/find-cuda.sh" "$top/etc/cuda-libraries" 2>"$work/missing"); then
        export LOCKSTEP_CUDA_LIBRARIES
        echo "CUDA's libraries: ${LOCKSTEP_CUDA_LIBRARIES:-where the system has them}" | tee -a "$log"
    else
        # Without them no program of ours starts.
        sed 's/^lockstep: //' "$work/missing" | head -n 1 >"$work/no-device"
        tee -a "$log" <"$work/missing"
    fi
}

# mpirun and the ranks talk over it. A new network namespace, as some machines that are lent have,
# begins with it down; ip may not be there.
raise_loopback() {
    for program in "$top/libexec/raise_loopback" "${LOCKSTEP_BUILD:-$top/build}/raise_loopback" \
        "$top/build/tests/gpu/raise_loopback"; do
        [ -x "$program" ] || continue
        "$program" 2>&1 | tee -a "$log"
        return
    done
    ip link set lo up 2>/dev/null || true
}

# A bundle of programs whose GPU is emulated by the CPU (gpu-remote.sh --emulated).
[ ! -f "$top/etc/emulated" ] || export LOCKSTEP_EMULATED_GPUS=1

surroundings() {
    find_libraries
    raise_loopback
    # A shape is timed once, by whatever part comes first. Nothing of the user's is read.
    export XDG_CACHE_HOME="$work/cache" LOCKSTEP_TEST_PLANS="$work/cache/lockstep/plans"
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    # One GPU, also where there are more: what follows shares one.
    if [ "$device" = cuda ]; then
        CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES:-0}
        export CUDA_VISIBLE_DEVICES="${CUDA_VISIBLE_DEVICES%%,*}"
    fi
}

# Of a part that was told to end: it may be waiting for a program that is not.
end_programs() {
    for pid in $(cat "$work/running" 2>/dev/null); do kill -KILL -- "-$pid" 2>/dev/null; done
    kill -KILL -- "-$(cat "$work/part-pid" 2>/dev/null)" 2>/dev/null
}
