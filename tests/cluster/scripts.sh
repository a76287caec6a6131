# shellcheck shell=sh disable=SC2086,SC2154,SC2012
# The job scripts of slurm/, submitted unchanged; the numbers that they leave. The data set has
# 1,000 images to train on and 300 to test on.

# Every epoch trains on every image once and the summary says what ran.
check_run() { # FOLDER MODE RANKS NODES EPOCHS BATCH-PER-RANK GLOBAL-BATCH
    summary=$1/summary.csv
    expect mode "$(csv "$summary" mode)" "$2"
    expect ranks "$(csv "$summary" ranks)" "$3"
    expect nodes "$(csv "$summary" nodes)" "$4"
    expect epochs "$(csv "$summary" epochs)" "$5"
    expect "rows of epochs.csv" "$(rows "$1/epochs.csv")" "$5"
    expect "batch per rank" "$(csv "$summary" batch_per_rank)" "$6"
    expect "global batch" "$(csv "$summary" global_batch)" "$7"
    expect device "$(csv "$summary" device)" cpu
    expect launcher "$(csv "$summary" launcher)" srun
    expect "images in the data set" "$(csv "$summary" train_images_per_epoch) $(csv "$summary" test_images)" "1000 300"
    for images in $(csv "$1/epochs.csv" images all); do expect "images an epoch" "$images" 1000; done
    for steps in $(csv "$1/epochs.csv" steps all); do
        expect "steps an epoch" "$steps" $(((1000 + $7 - 1) / $7))
    done
    # The training time is that of the epochs, and no part of it is the total.
    sum=$(csv "$1/epochs.csv" training_seconds all | paste -s -d +)
    training=$(csv "$summary" training_seconds)
    holds "abs(($sum) - $training) < 0.001 + 0.001 * $training"
    holds "0 < $training < $(csv "$summary" total_seconds)"
}

case_smoke() {
    # The binary is found in build/ under the folder of submission.
    mkdir build
    ln -s "$lockstep" build/lockstep
    job=$(LOCKSTEP='' LOCKSTEP_EPOCHS='' submit smoke)
    expect_job "$job" 90 COMPLETED 0:0
    check_run "results/$job-smoke" single 1 1 1 64 64
    grep -q node1 "slurm-$job.out" || fail "the header does not name the host"
    expect "Slurm job in the summary" "$(csv "results/$job-smoke/summary.csv" slurm_job_id)" "$job"
}

# Results go where the job's output goes; binary and data are the submitter's.
case_single() {
    mkdir elsewhere
    job=$(LOCKSTEP_EPOCHS=2 LOCKSTEP_RESULTS=other submit --chdir="$PWD/elsewhere" single)
    expect_job "$job" 90 COMPLETED 0:0
    [ -s "elsewhere/slurm-$job.out" ] || fail "no output in the folder of --chdir"
    check_run "elsewhere/other/$job-single" single 1 1 2 64 64
}

case_ddp() {
    job=$(LOCKSTEP_EPOCHS=2 submit ddp)
    expect_job "$job" 90 COMPLETED 0:0
    check_run "results/$job-ddp" ddp 2 2 2 64 128
    for host in node1 node2; do
        grep -q "$host" "slurm-$job.out" || fail "the header does not name $host"
    done
    # The loss falls: it learns.
    holds "$(csv "results/$job-ddp/epochs.csv" train_loss 2) < $(csv "results/$job-ddp/epochs.csv" train_loss 1)"
}

case_dp() {
    job=$(LOCKSTEP_EPOCHS=2 submit dp)
    expect_job "$job" 90 COMPLETED 0:0
    check_run "results/$job-dp" dp 2 2 2 64 128
}

case_four_ranks_on_two_nodes() {
    job=$(LOCKSTEP_ARGS=--oversubscribe submit --ntasks-per-node=2 ddp)
    expect_job "$job" 90 COMPLETED 0:0
    check_run "results/$job-ddp" ddp 4 2 1 64 256
}

case_speedup() {
    job=$(LOCKSTEP_EPOCHS=1 LOCKSTEP_REPEATS=2 submit speedup)
    expect_job "$job" 300 COMPLETED 0:0
    for repeat in 1 2; do
        check_run "results/$job-single-$repeat" single 1 1 1 64 64
        check_run "results/$job-ddp-weak-$repeat" ddp 2 2 1 64 128
        check_run "results/$job-dp-weak-$repeat" dp 2 2 1 64 128
        check_run "results/$job-ddp-strong-$repeat" ddp 2 2 1 32 64
        check_run "results/$job-dp-strong-$repeat" dp 2 2 1 32 64
    done
    # Interleaved: every configuration once, then every configuration again.
    grep -o 'run [0-9]* of 10: [a-z-]*' "slurm-$job.out" | sed 's/.*: //' | tr '\n' ' ' >order.txt
    round='single ddp-weak dp-weak ddp-strong dp-strong '
    expect "order of runs" "$(cat order.txt)" "$round$round"
    # The speedups printed, in the tables' order, are the geometric means of the pairs' ratios.
    for run in ddp-weak dp-weak ddp-strong dp-strong; do
        "$python" -IS -c 'import sys; a, b, c, d = map(float, sys.argv[1:]); print("%.2fx" % (a / b * c / d) ** 0.5)' \
            "$(seconds single-1)" "$(seconds $run-1)" "$(seconds single-2)" "$(seconds $run-2)"
    done >expected.txt
    sed -n '/^== what/,$p' "slurm-$job.out" | grep -E '(DDP|DP)' | grep -o -E '[0-9]+\.[0-9]{2}x' >found.txt || true
    expect "speedups printed" "$(tr '\n' ' ' <found.txt)" "$(tr '\n' ' ' <expected.txt)"
    # The same in the machine-readable table, each in its interval.
    "$lockstep" report "results/$job"-* --format csv >table.csv
    expect "rows of the table" "$(rows table.csv)" 6
    for row in 2 3 5 6; do
        expect pairs "$(csv table.csv pairs $row)" 2
        holds "$(csv table.csv speedup_low $row) <= $(csv table.csv speedup $row) <= $(csv table.csv speedup_high $row)"
    done
    # A table of different images is refused.
    expect_exit 2 refused.txt "$lockstep" report "results/$job-ddp-weak-1" "$(other_run)"
    expect_one_line refused.txt epochs
}

# One node and two from one script, on encoded images: what ran, what was evaluated, the tables.
case_resnet18() {
    "$python" -B "$repository/tests/pack/photos.py" photos
    "$lockstep" pack images photos photos.packed --encoded >pack.txt 2>&1 || {
        grep -q libjpeg pack.txt && skip "this build has no libjpeg-turbo"
        cat pack.txt
        fail "no encoded data set"
    }
    job=$(LOCKSTEP_DATA=$PWD/photos.packed LOCKSTEP_MODEL=resnet18-small LOCKSTEP_IMAGE_SIZE=32 LOCKSTEP_EPOCHS=3 \
        LOCKSTEP_PRECISION=fp32 LOCKSTEP_GLOBAL_BATCH=8 LOCKSTEP_LEARNING_RATE=0.01 LOCKSTEP_SCHEDULE=step LOCKSTEP_SMOOTHING=0.1 \
        LOCKSTEP_VALIDATE_EVERY=2 LOCKSTEP_LOADER_THREADS=1 LOCKSTEP_CHECKPOINT=epoch submit resnet18)
    expect_job "$job" 240 COMPLETED 0:0
    for run in one-rank-1:single:1 2-nodes-1:ddp:2; do
        folder=results/$job-${run%%:*} count=${run##*:}
        summary=$folder/summary.csv
        for fact in mode="$(echo $run | cut -d : -f 2)" ranks="$count" nodes="$count" model=resnet18-small global_batch=8 \
            optimizer=sgd momentum=0.9 weight_decay=0.0001 label_smoothing=0.1 validate_every=2 attempts=1; do
            expect "${fact%%=*} of $run" "$(csv "$summary" "${fact%%=*}")" "${fact#*=}"
        done
        csv "$summary" schedule | grep -q 'warm' || fail "no warm-up in the schedule: $(csv "$summary" schedule)"
        csv "$summary" augment | grep -q resized-crop || fail "augment is $(csv "$summary" augment)"
        expect "epochs of $run" "$(csv "$folder/epochs.csv" images all | tr '\n' ' ')" "24 24 24 "
        for column in test_accuracy test_top5_accuracy; do
            expect "$column of epoch 1" "$(csv "$folder/epochs.csv" $column 1)" ""
            for row in 2 3; do holds "0 <= $(csv "$folder/epochs.csv" $column $row) <= 1"; done
        done
        holds "$(csv "$folder/epochs.csv" test_top5_accuracy 3) == 1" # of two classes
        [ -s "$folder/checkpoints/last" ] || fail "no checkpoint of $run"
    done
    ratio=$("$python" -IS -c 'import sys; a, b = map(float, sys.argv[1:]); print("%.2fx" % (a / b))' \
        "$(seconds one-rank-1)" "$(seconds 2-nodes-1)")
    sed -n '/^== what/,$p' "slurm-$job.out" >tables.txt
    grep DDP tables.txt | grep -q -F "$ratio" || { cat tables.txt; fail "the speedup $ratio is not in the table"; }
}

# Of a vision transformer, short: images of 32 pixels in patches of 16.
pack_small() { # FOLDER
    "$lockstep" pack synthetic "$1" --images 48 --test-images 16 --seed 3 >pack.txt 2>&1 || { cat pack.txt; fail "no data"; }
}

# The table of epochs in a job's output is what epochs.csv says.
check_epochs() { # JOB RUN EPOCHS
    sed -n "/^== loss, accuracy/,\$p" "slurm-$1.out" | sed -n "\|^$2: |,/^$/p" >table.txt
    expect_lines table.txt "$3" '^ *[0-9]+  .*%.*%'
    for epoch in $(seq "$3"); do
        loss=$("$python" -IS -c 'import sys; print("%.4f" % float(sys.argv[1]))' "$(csv "$2/epochs.csv" train_loss "$epoch")")
        grep -q "^ *$epoch  *$loss " table.txt || { cat table.txt; fail "no loss of $loss in epoch $epoch of $2"; }
        holds "$(csv "$2/epochs.csv" peak_memory_maximum_bytes "$epoch") > 1e6"
    done
}

# What the ViT scripts print behind their runs: a row a configuration, those of the published file, pictures.
check_published() { # JOB PUBLISHED
    sed -n '/^== throughput, memory/,/^pictures: /p' "slurm-$1.out" >modes.txt
    expect_lines modes.txt 1 "^pictures: .*/$1-pictures$"
    for source in $("$python" -IS -c 'import csv, sys; print(*{row["configuration"].split(",")[0].split()[0] for row in csv.DictReader(open(sys.argv[1]))})' \
        "$repository/slurm/published/$2.csv"); do
        grep -q "$source" modes.txt || { cat modes.txt; fail "$source of what was published is not in the table"; }
    done
    [ -n "$(ls "results/$1-pictures" 2>/dev/null)" ] || fail "no pictures in results/$1-pictures"
    expect_lines "slurm-$1.out" 1 '^== where this differs from the published setting'
}

expect_facts() { # FOLDER NAME=VALUE...
    folder=$1
    shift
    for fact; do expect "${fact%%=*} of $folder" "$(csv "$folder/summary.csv" "${fact%%=*}")" "${fact#*=}"; done
}

# All nodes first, at the batch that they find: the data set is 24 images a rank. One rank has the same.
case_vit_ddp() {
    pack_small small
    job=$(LOCKSTEP_DATA=$PWD/small LOCKSTEP_MODEL=vit-ti16 LOCKSTEP_AUGMENT=crop-flip LOCKSTEP_EPOCHS=2 \
        LOCKSTEP_PRECISION=fp32 LOCKSTEP_WARMUP_EPOCHS=1 LOCKSTEP_CHECKPOINT=epoch submit --nodes=2 vit-ddp)
    expect_job "$job" 120 COMPLETED 0:0
    for run in one-rank-1:single:1:given 2-nodes-1:ddp:2:auto; do
        folder=results/$job-${run%%:*}
        of=${run#*:}
        expect_facts "$folder" mode="${of%%:*}" ranks="$(echo "$of" | cut -d : -f 2)" model=vit-ti16 batch_per_rank=24 \
            batch_choice="${of##*:}" optimizer=adamw weight_decay=0.05 decay=weights label_smoothing=0.1 drop_path=0.1 attempts=1
        csv "$folder/summary.csv" clip | grep -q 'norm' || fail "no clipping: $(csv "$folder/summary.csv" clip)"
        expect "epochs of $run" "$(csv "$folder/epochs.csv" images all | tr '\n' ' ')" "48 48 "
        check_epochs "$job" "$folder" 2
        [ -s "$folder/checkpoints/best" ] || fail "no best checkpoint of $run"
    done
    check_published "$job" vit-ddp
    expect_lines "slurm-$job.out" 1 '^batch per rank, the highest that fits: published 48, here 24$'
    ratio=$("$python" -IS -c 'import sys; a, b = map(float, sys.argv[1:]); print("%.2fx" % (a / b))' \
        "$(seconds one-rank-1)" "$(seconds 2-nodes-1)")
    sed -n '/^== what/,$p' "slurm-$job.out" >tables.txt
    grep DDP tables.txt | grep -q -F "$ratio" || { cat tables.txt; fail "the speedup $ratio is not in the table"; }
}

case_vit_fsdp() {
    pack_small small
    job=$(LOCKSTEP_DATA=$PWD/small LOCKSTEP_MODEL=vit-ti16 LOCKSTEP_AUGMENT=none LOCKSTEP_EPOCHS=2 LOCKSTEP_PRECISION=fp32 \
        LOCKSTEP_LAYOUT_PRECISION=fp32 LOCKSTEP_BATCH_INSIDE=4 LOCKSTEP_BATCH_BETWEEN=8 LOCKSTEP_CHECKPOINT=off \
        LOCKSTEP_ARGS=--oversubscribe submit --ntasks-per-node=2 --gres=gpu:1 vit-fsdp)
    expect_job "$job" 120 COMPLETED 0:0
    expect_facts "results/$job-highest-fsdp-2x1-1" mode=fsdp ranks=2 nodes=2 batch_per_rank=24 batch_choice=auto
    for run in ddp-1x2:1:4 fsdp-1x2:1:4 ddp-2x1:2:8 fsdp-2x1:2:8; do
        of=${run#*:}
        expect_facts "results/$job-layout-${run%%:*}-1" mode="${run%%-*}" ranks=2 nodes="${of%:*}" batch_per_rank="${of#*:}"
    done
    check_published "$job" vit-fsdp
}

# Of the modes one that there is; and again: all is finished, and shown once more.
case_vit_modes() {
    pack_small small
    export LOCKSTEP_DATA="$PWD/small" LOCKSTEP_MODEL=vit-ti16 LOCKSTEP_AUGMENT=none LOCKSTEP_EPOCHS=2 LOCKSTEP_INIT=none \
        LOCKSTEP_MODES="zero2:fp32 nosuch:fp16" LOCKSTEP_BATCHES="4 8" LOCKSTEP_ACCURACY=ddp:fp32
    job=$(submit --nodes=2 --ntasks-per-node=1 --gres=gpu:1 vit-modes)
    expect_job "$job" 120 COMPLETED 0:0
    for batch in 4 8; do
        expect_facts "results/$job-cost-zero2-fp32-$batch-1" mode=zero2 ranks=2 batch_per_rank=$batch epochs=1
    done
    expect_facts "results/$job-accuracy-ddp-fp32-1" mode=ddp batch_per_rank=8 epochs=2
    check_epochs "$job" "results/$job-accuracy-ddp-fp32-1" 2
    check_published "$job" vit-modes
    expect_lines "slurm-$job.out" 1 '^not run, for this lockstep has no such mode: nosuch:fp16$'
    first=$(cksum <"results/$job-accuracy-ddp-fp32-1/summary.csv")
    again=$(LOCKSTEP_RUN=$job submit --nodes=2 --ntasks-per-node=1 --gres=gpu:1 vit-modes)
    expect_job "$again" 60 COMPLETED 0:0
    expect_lines "slurm-$again.out" 3 '^finished before: '
    expect_lines "slurm-$again.out" 1 '^== throughput, memory'
    expect "the finished run's summary" "$(cksum <"results/$job-accuracy-ddp-fp32-1/summary.csv")" "$first"
    job=$(LOCKSTEP_INIT="" submit --gres=gpu:1 vit-modes)
    expect_job "$job" 60 FAILED 2:0
    expect_lines "slurm-$job.out" 1 '^vit-modes.sbatch: LOCKSTEP_INIT: expected'
}

# From weights that a run of ours left: the first epoch begins where that ended.
case_finetune() {
    pack_small small
    "$lockstep" train --data small --model vit-ti16 --device cpu --mode single --batch-per-rank 8 --epochs 2 --optimizer adamw \
        --learning-rate 1e-4 --checkpoint-every epoch --results made >made.txt 2>&1 || { cat made.txt; fail "no weights"; }
    "$lockstep" checkpoint export "made/checkpoints/$(cat made/checkpoints/last)" weights.safetensors >export.txt 2>&1 || {
        grep -q jansson export.txt && skip "this build has no jansson"
        cat export.txt
        fail "no weights"
    }
    job=$(LOCKSTEP_INIT=$PWD/weights.safetensors LOCKSTEP_DATA=$PWD/small LOCKSTEP_MODEL=vit-ti16 LOCKSTEP_AUGMENT=none \
        LOCKSTEP_EPOCHS=3 LOCKSTEP_PRECISION=fp32 LOCKSTEP_GLOBAL_BATCH=16 LOCKSTEP_WARMUP_EPOCHS=0.5 \
        submit --nodes=2 finetune)
    expect_job "$job" 120 COMPLETED 0:0
    folder=results/$job-finetune
    for fact in mode=ddp ranks=2 nodes=2 global_batch=16 batch_per_rank=8 optimizer=adamw epochs=3; do
        expect "${fact%%=*}" "$(csv "$folder/summary.csv" "${fact%%=*}")" "${fact#*=}"
    done
    check_epochs "$job" "$folder" 3
    holds "$(csv "$folder/epochs.csv" train_loss 1) < $(csv made/epochs.csv train_loss 1)"
    job=$(LOCKSTEP_INIT='' submit finetune)
    expect_job "$job" 60 FAILED 2:0
    expect_lines "slurm-$job.out" 1 '^finetune.sbatch: LOCKSTEP_INIT: expected'
}

# A real requeue while the second of five runs trains: the first is kept, the second is done anew
# (it finds the claim of the attempt before), the output holds both attempts.
case_requeue() {
    small_images
    job=$(LOCKSTEP_DATA=$work/small LOCKSTEP_EPOCHS=16 LOCKSTEP_REPEATS=1 submit speedup)
    wait_state "$job" 60 RUNNING
    wait_training "results/$job-ddp-weak-1" 90
    first=$(cksum <"results/$job-single-1/summary.csv")
    [ -f "results/$job-ddp-weak-1/claim.txt" ] || fail "a run without a claim"
    scontrol requeue "$job"
    begin_again "$job"
    wait_state "$job" 240 "$ended_states"
    # Slurm can all the same take the first attempt's exit code for the job's: then it is asked once more.
    if [ "$(job_field "$job" JobState)" = FAILED ] && [ "$(grep -c '^== run 1 of 5: single' "slurm-$job.out")" -eq 1 ]; then
        echo "the job was given its first attempt's exit code"
        sleep 5
        scontrol requeue "$job"
        begin_again "$job"
    fi
    expect_job "$job" 240 COMPLETED 0:0
    expect "the finished run's summary" "$(cksum <"results/$job-single-1/summary.csv")" "$first"
    for run in single ddp-weak dp-weak ddp-strong dp-strong; do
        expect "epochs of $run" "$(rows "results/$job-$run-1/epochs.csv")" 16
        [ ! -e "results/$job-$run-1/claim.txt" ] || fail "$run left its claim"
    done
    expect_lines "slurm-$job.out" 2 '^== run 1 of 5: single'
    expect_lines "slurm-$job.out" 1 '^finished before: '
    expect_lines "slurm-$job.out" 1 '^== 1 of 5 runs were finished before the requeue'
    expect_lines "slurm-$job.out" 0 'already holds'
    sed -n '/^== what/,$p' "slurm-$job.out" | grep -q DDP || fail "no table at the end"
}

seconds() { # NAME-REPEAT -> training seconds of that run of the job
    csv "results/$job-$1/summary.csv" training_seconds
}

other_run() { # a run that differs from the others in its epochs
    $train --mode single --batch-per-rank 64 --epochs 2 --results other >/dev/null
    echo other
}

# A step that fails fails the job, with lockstep's own exit code, and nothing runs after it.
case_exit_code_of_a_job() {
    job=$(LOCKSTEP_DATA=/nowhere submit speedup)
    expect_job "$job" 90 FAILED 2:0
    expect_one_line "slurm-$job.out" /nowhere
    expect_lines "slurm-$job.out" 0 'run 2 of '
}

# The GPU that the cluster grants is not there: that must stop, not run on the CPU.
case_gpu_that_does_not_work() {
    [ ! -e /dev/nvidiactl ] || skip "this machine has a GPU"
    job=$(LOCKSTEP_DEVICE=auto submit smoke)
    expect_job "$job" 90 FAILED 3:0
    expect_one_line "slurm-$job.out" 'GPU|CUDA|cuda'
}
