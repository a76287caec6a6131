#!/bin/sh
# The five ReFrame checks on the two-node test cluster (slurm/cluster.sh), as root: each job script in a form of
# a minute, on generated images and the CPU.
#
#   sh tests/reframe/cluster.sh path/to/lockstep [CHECK...]     (speedup resnet18 vit-ddp vit-fsdp vit-modes)
#
# LOCKSTEP_PYTHON (python3): a Python that can import reframe (pip install reframe-hpc). Exit code 1 where a
# check failed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
[ -x "${1:-}" ] || { echo "tests/reframe/cluster.sh: expected the lockstep binary, found '${1:-}'" >&2; exit 2; }
LOCKSTEP=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
shift
[ $# -gt 0 ] || set -- speedup resnet18 vit-ddp vit-fsdp vit-modes
python=${LOCKSTEP_PYTHON:-python3}
"$python" -c 'import reframe' || { echo "no reframe: pip install reframe-hpc" >&2; exit 2; }

# Not in /tmp, of which each node has its own.
work=$(mktemp -d /run/lockstep-reframe.XXXXXX)
cluster="sh $repository/slurm/cluster.sh"
trap '$cluster down --dir "$work/cluster" >/dev/null || :; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
$cluster up --dir "$work/cluster" --oversubscribe-cpus 4 >/dev/null
eval "$($cluster env --dir "$work/cluster")"
cd "$work"

"$LOCKSTEP" pack synthetic cifar --images 512 --test-images 128 --seed 1 >/dev/null
"$LOCKSTEP" pack synthetic few --images 48 --test-images 16 --seed 3 >/dev/null
"$python" -B "$repository/tests/pack/photos.py" photos
"$LOCKSTEP" pack images photos encoded --encoded >/dev/null

# Two epochs: one of so few images is a step, of which a warm-up would leave nothing.
export LOCKSTEP LOCKSTEP_DEVICE=cpu LOCKSTEP_PRECISION=fp32 LOCKSTEP_EPOCHS=2 LOCKSTEP_ARGS=--oversubscribe
check() { # NAME REFRAME-OPTION...
    name=$1
    shift
    began=$(date +%s) code=0
    "$python" -c 'from reframe.frontend.cli import main; main()' -C "$here/settings.py" -c "$here/experiments.py" \
        --prefix "$work/reframe" -n "^$(echo "$name" | tr - _)\$" -S form=short -S gres=none "$@" -r >"$name.txt" 2>&1 || code=$?
    grep -q 'Ran 1/1' "$name.txt" || code=1
    if [ $code -eq 0 ]; then
        echo "ok: $name ($(($(date +%s) - began)) s)"
    else
        failed=1
        echo "FAIL: $name"
        sed 's/^/    /' "$name.txt"
        find reframe -name '*.out' -path "*/stage/*/$(echo "$name" | tr - _)/*" -exec tail -n 20 {} + | sed 's/^/    /'
    fi
    sed -n '/PERFORMANCE REPORT/,/^---* *$/p' "$name.txt" | grep -E 'rate|memory' || :
}
failed=0
for each; do
    case $each in
    speedup) LOCKSTEP_DATA=cifar LOCKSTEP_EPOCHS=1 check speedup ;;
    resnet18) LOCKSTEP_DATA=encoded LOCKSTEP_EPOCHS=1 LOCKSTEP_MODEL=resnet18-small LOCKSTEP_IMAGE_SIZE=32 LOCKSTEP_GLOBAL_BATCH=8 check resnet18 ;;
    vit-ddp) LOCKSTEP_DATA=few LOCKSTEP_MODEL=vit-ti16 LOCKSTEP_AUGMENT=none check vit-ddp -S num_tasks=2 ;;
    vit-fsdp)
        LOCKSTEP_DATA=few LOCKSTEP_MODEL=vit-ti16 LOCKSTEP_AUGMENT=none LOCKSTEP_LAYOUT_PRECISION=fp32 \
            LOCKSTEP_BATCH_INSIDE=4 LOCKSTEP_BATCH_BETWEEN=8 check vit-fsdp
        ;;
    vit-modes)
        LOCKSTEP_DATA=few LOCKSTEP_MODEL=vit-ti16 LOCKSTEP_AUGMENT=none LOCKSTEP_INIT=none LOCKSTEP_BATCHES=4 \
            LOCKSTEP_MODES='ddp:fp32 zero2:fp32 gemini:fp32' LOCKSTEP_ACCURACY=ddp:fp32 check vit-modes
        ;;
    *) echo "tests/reframe/cluster.sh: no check '$each'" >&2; exit 2 ;;
    esac
done
exit $failed
