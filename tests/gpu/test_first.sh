#!/bin/sh
# The part `first` of tests/gpu.sh where things are not as they should be, on the emulated device: no
# GPU; a way that is refused, so that it must find another one; results of another kind.
#
#   sh test_first.sh BUILD-FOLDER
set -u
build=$(cd "${1:?"usage: sh test_first.sh BUILD-FOLDER"}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
count=0
report() { # STATUS WHAT
    count=$((count + 1))
    [ "$1" -eq 0 ] && echo "ok $count - $2" || echo "not ok $count - $2"
}
said() { sed 's/^/# /' "$work/said"; }
programs=$(sh "$here/emulated_programs.sh" "$build")
export CUDA_VISIBLE_DEVICES=0 LOCKSTEP_PATIENCE=10 TMPDIR="$work"

began=$(date +%s)
LOCKSTEP_BUILD=$programs LOCKSTEP_EMULATED_GPUS=0 sh "$here/../gpu.sh" --quick --only first "$work/none" >"$work/said" 2>&1
code=$?
said
[ $code -eq 1 ] && [ $(($(date +%s) - began)) -le 10 ] && grep -q 'There is no device to test: .*GPU' "$work/none/report.md" &&
    [ "$(sed 1d "$work/none/checks.csv" | cut -d, -f1,2)" = first,failed ]
report $? "without a GPU: one failure, and a report in 10 s that says so"

# What the library of a GPU may do: it refuses a form unless that is avoided.
mkdir "$work/programs"
for file in "$programs"/*; do ln -s "$file" "$work/programs/"; done
rm "$work/programs/lockstep"
cat >"$work/programs/lockstep" <<SCRIPT
#!/bin/sh
case "\$*" in *--device\ cuda*)
    case \${LOCKSTEP_CUDA_AVOID:-} in *fused-bias*) ;; *)
        echo "lockstep: cuBLASLt: a \"matrix\" product, of 16 bits: refused" >&2
        exit 1 ;;
    esac ;;
esac
exec "$programs/lockstep" "\$@"
SCRIPT
chmod +x "$work/programs/lockstep"
LOCKSTEP_BUILD=$work/programs LOCKSTEP_EMULATED_GPUS=1 sh "$here/../gpu.sh" --quick --only first,overflow "$work/out" >"$work/said" 2>&1
code=$?
said
[ $code -eq 1 ] && grep -q '^first,failed,"bf16 trains, as it is; exit code 1; .*""matrix"" product, of 16' "$work/out/checks.csv" &&
    grep -q '^first,passed,"bf16 trains, avoid fused-bias,fused-sums"' "$work/out/checks.csv" &&
    grep -q '^- first: bf16 trains, as it is; .* a "matrix" product, of 16 bits: refused$' "$work/out/report.md"
report $? "a refused way is a failure that says what was refused, and another way is found"
grep -q '^- a step of .* us by the last epoch.s clock, .* times its floor' "$work/out/report.md" &&
    grep -q '^| fc1 | backward_weights | ' "$work/out/report.md" && grep -q '^    conv2 n=4: cuDNN forward' "$work/out/report.md" &&
    grep -q '^lockstep choices' "$work/out/plans"
report $? "its report has a step's time, its shares, and what was chosen"
grep -q '^overflow,passed' "$work/out/checks.csv" && ! grep -q '^overflow,failed' "$work/out/checks.csv"
report $? "the parts after it go that way too"

cp "$work/out/checks.csv" "$work/before"
LOCKSTEP_BUILD=$programs LOCKSTEP_EMULATED_GPUS=1 sh "$here/../gpu.sh" --resume --only overflow "$work/out" >"$work/said" 2>&1
code=$?
said
[ $code -eq 2 ] && [ "$(wc -l <"$work/said")" -eq 1 ] && cmp -s "$work/before" "$work/out/checks.csv"
report $? "results of another size are not gone on with: one line, exit code 2, nothing changed"
LOCKSTEP_BUILD=$programs LOCKSTEP_EMULATED_GPUS=1 sh "$here/../gpu.sh" --quick --resume --only overflow "$work/out" >"$work/said" 2>&1
said
! grep -q '^\[.*overflow' "$work/said" && grep -q '^first,failed' "$work/out/checks.csv"
report $? "--resume with --only runs nothing that passed, and keeps what failed elsewhere"
echo "1..$count"
