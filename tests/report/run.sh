#!/bin/sh
# lockstep report, as a user calls it: a run is trained, its files are read by Python's csv module,
# runs that differ from it are made with that module, and the tables and refusals are checked.
#
#   LOCKSTEP=build/lockstep sh tests/report/run.sh
#
# Prints TAP; exit code 1 where a case failed. Without a binary or python3 its plan says skipped.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
lockstep=${LOCKSTEP:-$here/../../build/lockstep}
if [ ! -x "$lockstep" ] || ! command -v python3 >/dev/null; then
    echo "1..0 # SKIP no $lockstep, or no python3"
    exit 0
fi
case $lockstep in /*) ;; *) lockstep=$PWD/$lockstep ;; esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cases=0 failures=0

passed() { cases=$((cases + 1)); echo "ok $cases - $1"; }
failed() { # NAME FILE-TO-SHOW
    cases=$((cases + 1)) failures=$((failures + 1))
    echo "not ok $cases - $1"
    sed 's/^/# /' "$2"
}

check() { # NAME COMMAND...: its exit code is 0
    name=$1
    shift
    if "$@" >said.txt 2>&1; then passed "$name"; else failed "$name" said.txt; fi
}

# One line on stderr that begins with "lockstep: " and holds the text; no speedup on stdout.
refused() { # NAME CODE TEXT ARGUMENT...
    name=$1 code=$2 text=$3
    shift 3
    found=0
    "$lockstep" report "$@" >out.txt 2>err.txt || found=$?
    echo "exit code $found, expected $code and '$text'" >>out.txt
    if [ "$found" = "$code" ] && ! grep -q -E '[0-9]x( |$)' out.txt && [ "$(wc -l <err.txt)" = 1 ] &&
        grep -q '^lockstep: ' err.txt && grep -q -F -e "$text" err.txt; then
        passed "$name"
    else
        cat err.txt >>out.txt
        failed "$name" out.txt
    fi
}

# A run like another one, but for some columns.
vary() { python3 "$here/files.py" vary "$@"; }

"$lockstep" pack synthetic data --images 300 --test-images 50 --seed 1 >pack.txt 2>&1 ||
    { failed "pack synthetic" pack.txt; echo "1..1"; exit 1; }
"$lockstep" train --data data --model cnn --mode single --device cpu --threads 1 \
    --batch-per-rank 64 --epochs 2 --seed 1 --results single >stdout.txt 2>train.txt ||
    { failed "train" train.txt; echo "1..1"; exit 1; }

check "log.txt holds what was printed" cmp stdout.txt single/log.txt
check "summary.csv and epochs.csv agree" python3 "$here/files.py" check single

train="$lockstep train --data data --model cnn --mode single --device cpu --threads 1 --epochs 1 --device-memory 100000"
# shellcheck disable=SC2086 # a list of words
check "a terminal shows progress in its width" \
    python3 "$here/files.py" terminal 40 $train --results terminal
check "pack shows progress in the terminal's width" \
    python3 "$here/files.py" terminal 40 "$lockstep" pack synthetic wide --images 20000 --force
check "the limit of its memory" python3 -c 'import csv
row = next(csv.DictReader(open("terminal/summary.csv")))
beside, program = float(row["memory_limit_bytes"]) - 1e11, float(row["memory_program_bytes"])
most = program + float(row["memory_loader_bytes"]) + float(row["memory_checkpoint_bytes"])
assert program <= beside <= most, (program, beside, most)
assert next(csv.DictReader(open("single/summary.csv")))["memory_limit_bytes"] == ""'
check "log.txt has no progress" test -z "$(tr -cd '\r\033' <terminal/log.txt)"
# mpirun makes a terminal of its own for what it starts, whatever its own output is.
if command -v mpirun >/dev/null; then
    # A sanitised build cannot tell MPI's leaks, in plug-ins that are gone by then, from ours.
    # shellcheck disable=SC2086
    ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 \
        mpirun --allow-run-as-root --oversubscribe --bind-to none -n 1 $train --results mpirun \
        >mpirun.txt 2>&1 || { failed "mpirun" mpirun.txt; echo "1..$cases"; exit 1; }
    check "no progress in a file under mpirun" test -z "$(tr -cd '\033' <mpirun.txt)"
fi

vary single ddp mode=ddp ranks=2 nodes=2 global_batch=128 training_seconds=/2 steps=6
vary single dp mode=dp ranks=2 nodes=2 global_batch=128 training_seconds=*1.25 steps=6
vary single strong mode=ddp ranks=2 nodes=2 batch_per_rank=32 training_seconds=/1.5

"$lockstep" report dp single ddp --format csv >weak.csv
check "the ratios in the CSV table" python3 "$here/files.py" table weak.csv weak 1 0.8 2
"$lockstep" report single ddp strong --format csv --output strong.csv >out.txt
check "the strong table in a file" python3 "$here/files.py" table strong.csv strong 1 1.5
check "a table in a file is not printed" test ! -s out.txt
"$lockstep" report single ddp dp >weak.txt
check "weak scaling has its footnote" grep -q '^\[1\] The global batch is not the baseline' weak.txt
check "text" grep -q '^2 nodes, 2 ranks (DDP) .* 2.00x \[1\]\[2\] *- *1 *100.0% ' weak.txt
"$lockstep" report single strong --format markdown >strong.md
check "Markdown" grep -q '^| 2 nodes, 2 ranks (DDP) |.*| 1.50x \[1\] | - | 1 | 75.0% |' strong.md
check "strong scaling has no footnote" test "$(grep -c -i 'weak' strong.md)" = 0

"$lockstep" report single terminal --table epochs --format csv >epochs.csv
check "the table of epochs" python3 "$here/files.py" epochs epochs.csv single terminal
"$lockstep" report single --table epochs --format markdown >epochs.md
check "the table of epochs as Markdown" test "$(grep -c '^| *[12] | *[0-9.]* | *[0-9.]*% |.*% |' epochs.md)" = 2
check "with a title a run" grep -q '^\*\*single\*\*: cnn, mode single, 1 rank(s), device cpu, fp32, global batch 64$' epochs.md

"$lockstep" report single ddp --format latex >speedup.tex
check "the speedup tables as LaTeX" python3 "$here/files.py" latex speedup.tex 2
"$lockstep" report single terminal --table epochs --format latex >epochs.tex
check "the tables of epochs as LaTeX" python3 "$here/files.py" latex epochs.tex 2
"$lockstep" report single terminal --table epochs --format html >epochs.html
check "the tables of epochs as HTML" test "$(grep -c '<table><thead><tr><th scope="col"' epochs.html)" = 2

# Whatever the runs are: other epochs, another precision, no baseline.
vary terminal other mode=ddp precision=bf16 batch_per_rank=32
cp terminal/epochs.csv other
"$lockstep" report single terminal other --table modes --format csv >modes.csv
check "the table of modes" python3 "$here/files.py" modes modes.csv single terminal other
"$lockstep" report other terminal --table modes >modes.txt
check "modes as text: three tables, what the rows differ in" test "$(grep -c \
    -e '^Modes: what each cost' -e '^Memory of a rank by kind' -e '^By epoch' \
    -e '^These rows differ in more than mode and batch: precision: bf16, fp32\.' modes.txt)" = 4
"$lockstep" report other terminal --table modes --format latex >modes.tex
check "modes as LaTeX" python3 "$here/files.py" latex modes.tex 3

head=configuration,batch_per_rank,images_per_second,peak_memory_gb,training_seconds,final_train_loss,test_accuracy,hardware,source
hardware=$(python3 -c 'import csv; print(next(csv.DictReader(open("modes.csv")))["hardware"])')
{
    echo "$head"
    echo "ddp fp16,32,153.7,2.25,,0.21,0.984,4 x A100,\"A paper, table 3\""
    echo "single,64,1,,,,,\"$hardware\",this machine"
    echo "single,64,1,,,,,another machine,elsewhere"
    echo "single,63,1,,,,,\"$hardware\",another batch"
    echo "dp,64,1,,,,,\"$hardware\",another mode"
} >published.csv
"$lockstep" report terminal --table modes --published published.csv --format csv >beside.csv
check "published rows: a ratio with the same hardware, batch and configuration alone" \
    python3 -c 'import csv, sys
rows = list(csv.DictReader(open("beside.csv")))
ours = rows[0]
sys.exit([r["measured_here"] for r in rows] != list("100000")
         or float(ours["over_published"]) != float(ours["images_per_second"])
         or any(r["over_published"] for r in rows[1:]) or rows[1]["peak_memory_bytes"] != "2.25e+09")'
"$lockstep" report terminal --table modes --published published.csv --format markdown >beside.md
check "and marked as not measured here" test "$(grep -c '^| .* | not here: .* |$' beside.md)" = 5
grep -v 'this machine' published.csv >far.csv
"$lockstep" report terminal --table modes --published far.csv >far.txt
check "no column of ratios without one" test "$(grep -c -i 'over published' far.txt)" = 0

bad() { # NAME TEXT LINE...: a file of these lines is refused
    title=$1 text=$2
    shift 2
    printf '%s\n' "$@" >bad.csv
    refused "$title" 2 "$text" terminal --table modes --published bad.csv
}
bad "published: no number" "bad.csv: row 1: images_per_second: expected a number above 0, or nothing, found 'fast'" \
    "$head" "ddp,8,fast,,,,,,a paper"
bad "published: per cent for a fraction" "test_accuracy: expected a number from 0 to 1" \
    "$head" "ddp,8,,,,,98.4,,a paper"
bad "published: no source" "row 1: source: expected a text" "$head" "ddp,8,,,,,,,"
bad "published: no row" "bad.csv: expected rows, found none" "$head"
bad "published: a column is missing" "column 'source' is missing" "${head%,source}" "ddp,8,,,,,,A100"
bad "published: a column is unknown" "column 'notes' is unknown" "$head,notes" "ddp,8,,,,,,,a paper,x"
bad "published: decimal commas" "expected commas" "$(echo "$head" | tr , ';')" "ddp;8;;;;;;;a paper"
refused "published: no file" 2 "nowhere.csv: cannot read" terminal --table modes --published nowhere.csv
refused "published rows of another table" 2 "--published: expected --table modes" single --published published.csv
refused "modes of compared runs" 2 "--table modes: expected no" single --table modes --certify

vary single bf16 mode=ddp precision=bf16
vary single longer mode=ddp epochs=3
vary single newer mode=ddp format_version=99
vary single never mode=ddp training_seconds=0
mkdir unfinished
refused "another precision" 2 "precision is fp32 in single but bf16 in bf16" single bf16
refused "other epochs" 2 "number of epochs is 2 in single but 3 in longer" single longer
refused "a newer format" 2 "newer/summary.csv: format version '99' is unknown" single newer
refused "no time" 2 "never/summary.csv: training_seconds" single never
cp -r single halved && rm halved/ranks.csv
refused "no ranks.csv" 2 "halved/ranks.csv: it is missing" halved
refused "no folder" 2 "nowhere: " single nowhere
refused "an unfinished run" 2 "unfinished: no summary.csv" single unfinished
refused "no baseline" 2 "no baseline" ddp dp
refused "the same run twice" 2 "are the same run" single single/.
refused "an unknown name" 2 "--allow: expected some of version" single bf16 --allow ablate
refused "an unknown format" 2 "--format: expected one of" single --format xml
refused "an unknown option" 2 "--fromat" single --fromat csv
refused "no run" 2 "RUN" --format csv
refused "epochs of compared runs" 2 "--table epochs: expected no" single --table epochs --target-accuracy 0.5
refused "a run beside --columns" 2 "--columns: unexpected operand 'single'" single --columns
"$lockstep" report --columns >columns.md
check "the reference of columns" grep -q '^## `*summary.csv' columns.md
refused "an output in no folder" 2 "nowhere" single --output nowhere/table.txt
refused "an output that is a folder" 2 "unfinished" single --output unfinished
if [ -c /dev/full ]; then
    code=0
    "$lockstep" report single >/dev/full 2>err.txt || code=$?
    check "a full disk under standard output" test "$code" = 1
fi

echo "1..$cases"
[ "$failures" = 0 ]
