# shellcheck shell=sh disable=SC2086,SC2154,SC2012
# Bad input at two ranks on two nodes: one line, agreed by all, exit code 2, nothing written.
#

refuse() { # PATTERN OPTION...
    said=$1
    shift
    expect_exit 2 out.txt srun -N2 -n2 "$lockstep" train --device cpu "$@"
    expect_one_line out.txt "$said"
    [ ! -e run/summary.csv ] || fail "it left a summary"
}

case_refuses_bad_options() {
    ok="--data $data --model cnn --epochs 1 --results run"
    refuse 'bacth' $ok --mode ddp --bacth-per-rank 64
    refuse 'mode' $ok --mode dpd --batch-per-rank 64
    refuse 'batch' $ok --mode ddp --batch-per-rank 64 --global-batch 128
    refuse 'epochs' --data $data --mode ddp --epochs 0 --results run
    refuse 'nowhere' --data nowhere --mode ddp --epochs 1 --results run
}

# One rank's mode on two ranks is a wrong launch.
case_refuses_single_on_two_ranks() {
    expect_exit 3 out.txt srun -N2 -n2 $train --mode single --batch-per-rank 64 --epochs 1 --results run
    expect_one_line out.txt 'mode single'
}

case_refuses_fewer_images_than_ranks() {
    $lockstep pack synthetic tiny --images 1 --test-images 1 --seed 1 >pack.txt 2>&1 ||
        skip "pack makes no data set of one image"
    refuse 'rank' --data $PWD/tiny --mode ddp --epochs 1 --results run
}

case_refuses_a_flipped_byte() {
    cp -r $data damaged
    shard=$(ls -S damaged/* | grep train | head -n 1)
    size=$(stat -c %s "$shard")
    # Deep in the pixels: the largest shard is nearly all images.
    "$python" -IS -c '
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(int(sys.argv[2])); byte = file.read(1)[0]
    file.seek(int(sys.argv[2])); file.write(bytes([byte ^ 1]))' "$shard" $((size / 2))
    refuse "$(basename "$shard").*block" --data $PWD/damaged --mode ddp --epochs 1 --results run
}

case_refuses_a_run_folder_that_is_taken() {
    mkdir run
    echo mode >run/summary.csv
    expect_exit 2 out.txt srun -N2 -n2 $train --mode ddp --batch-per-rank 64 --epochs 1 --results run
    expect_one_line out.txt run
    expect "summary" "$(cat run/summary.csv)" mode
}
