# shellcheck shell=sh disable=SC2034
# Sourced: sets python to one that can import PyTorch, or ends the test as skipped (77).
find_pytorch() { # PYTHON...
    for python; do
        if "$python" -c 'import torch, numpy' 2>/dev/null; then return 0; fi
    done
    return 1
}
if [ -n "${LOCKSTEP_PEER_PYTHON:-}" ]; then
    find_pytorch "$LOCKSTEP_PEER_PYTHON"
else
    find_pytorch python3 /usr/bin/python3 # Debian's may not be the PATH's first
fi || {
    echo "skipped: $python cannot import torch and numpy (sh slurm/packages.sh pytorch installs" \
        "Debian's; LOCKSTEP_PEER_PYTHON names another Python that can)"
    exit 77
}
