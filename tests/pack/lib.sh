# Helpers of the tests of lockstep pack: TAP, a temporary folder, and small inputs made here.
# Sourced after LOCKSTEP (the binary) is in the environment.

lockstep=${LOCKSTEP:-build/lockstep}
if [ ! -x "$lockstep" ]; then
    echo "1..0 # SKIP no $lockstep"
    exit 0
fi
case $lockstep in /*) ;; *) lockstep=$PWD/$lockstep ;; esac
# What a launcher left in the environment is not for these processes.
unset SLURM_STEP_NUM_TASKS SLURM_PROCID OMPI_COMM_WORLD_SIZE OMPI_COMM_WORLD_RANK

work=$(mktemp -d)
trap 'chmod -R u+rwx "$work" 2>/dev/null; rm -rf "$work"' EXIT
cd "$work"
cases=0 failures=0

passed() { cases=$((cases + 1)); echo "ok $cases - $1"; }
failed() { # NAME FILE-TO-SHOW
    cases=$((cases + 1)) failures=$((failures + 1))
    echo "not ok $cases - $1"
    sed 's/^/# /' "$2"
}
skipped() { cases=$((cases + 1)); echo "ok $cases - $1 # SKIP $2"; }
finish() { echo "1..$cases"; [ "$failures" -eq 0 ]; }

check() { # NAME COMMAND...: its exit code is 0
    name=$1
    shift
    if "$@" >said.txt 2>&1; then passed "$name"; else failed "$name" said.txt; fi
}

# Exit code CODE, nothing on stdout, one line on stderr that begins with "lockstep: " and holds
# TEXT; and no file named OUT or inside it afterwards ("" : do not look).
refused() { # NAME CODE TEXT OUT COMMAND...
    name=$1 code=$2 text=$3 out=$4
    shift 4
    found=0
    timeout 60 "$@" >out.txt 2>err.txt || found=$?
    left=
    if [ -n "$out" ]; then left=$(find "$out" 2>/dev/null || true); fi
    if [ "$found" = "$code" ] && [ ! -s out.txt ] && [ "$(wc -l <err.txt)" = 1 ] &&
        grep -q '^lockstep: ' err.txt && grep -q -F -e "$text" err.txt && [ -z "$left" ]; then
        passed "$name"
    else
        { echo "exit code $found, expected $code and '$text'; left: $left"; cat out.txt err.txt; } >say.txt
        failed "$name" say.txt
    fi
}

# CIFAR-10's binary layout in FOLDER with RECORDS records a file, labels 0 to 9 in turn.
make_cifar() { # FOLDER RECORDS
    mkdir -p "$1"
    python3 - "$1" "$2" <<'PYTHON'
import sys
folder, records = sys.argv[1], int(sys.argv[2])
names = ["data_batch_%d.bin" % n for n in range(1, 6)] + ["test_batch.bin"]
for number, name in enumerate(names):
    with open(f"{folder}/{name}", "wb") as file:
        for record in range(records):
            start = number * 7919 + record * 104729
            file.write(bytes([record % 10]))
            file.write(bytes((start + i * (i >> 5)) * 31 % 251 for i in range(3072)))
with open(f"{folder}/batches.meta.txt", "w") as file:
    file.write("".join(f"class{n}\n" for n in range(10)) + "\n")
PYTHON
}
