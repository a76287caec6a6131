# shellcheck shell=sh
# Training on the device follows training on cpu from the same seed, loss by loss.
#
# fp32: only the order of floating-point sums differs, but training amplifies it: two runs on cpu
# that start 1e-8 apart are 1e-2 (SGD) and 1e-1 (Adam) apart 200 steps later, while the loss falls.
# So the bound at each step comes from the same run on cpu with its sums in another order (ddp on two
# ranks): BOUND times the largest difference so far of that control, and at least FLOOR.
# FLOOR: the loss is a mean of 64 fp32 numbers of about 2.3; 1e-5 is some 40 roundings of one. Adam's
# first updates are the gradient's sign, whatever its size, so one that is nearly 0 moves a parameter
# the other way: 2e-4 (the emulated device, whose convolutions are no Winograd's, was 2.5e-5 from cpu
# at the third step of batch 4, and the control, with the same convolutions as cpu, 5e-8). It holds
# for the first 10 losses; then 5e-3, because one activation within a rounding of 0 (or two
# of a pool's window within one of each other) sends a gradient another way, which the control need
# not meet. Seen on the emulated device against cpu (batch 8, SGD), gradient by gradient: all agree
# to 1e-6 of their size at each of 32 steps, but for steps 17 and 26, where one row of 64 (of 128)
# of one convolution's weight gradient parts by 1e-3 and the layers above still agree.
# BOUND: the control reorders one sum a parameter, the device every sum of every layer; the device
# that the CPU emulates, whose sums are in double, was 70 times as far from cpu as the control.
# Where that bound has grown wide, the mean of all losses still tells a run that learns otherwise:
# the control's was 2e-4 (SGD) and 0.019 (Adam) from cpu's over 200 steps; 0.02 and 0.08 are allowed.
# shellcheck source=tests/gpu/lib.sh
. "$GPU_TOP/tests/gpu/lib.sh"
bound=200

images=$(quickly 3200 640 12) batch=$(quickly 64 16 4)
data=$(data_of "$images" "$(quickly 64 64 4)")
steps=$((images / batch))
common="--data $data --epochs 1 --seed 5 --global-batch $batch --step-log"
sgd="--optimizer sgd --learning-rate 0.01 --momentum 0.9"

compare() { # RULE OUT.csv FLOOR; steps.csv of cpu, device and control side by side on standard input
    awk -F, -v floor="$3" -v bound=$bound -v rule="$1" -v out="$2" -v steps="$steps" '
        function size(x) { return x < 0 ? -x : x }
        NR == 1 { next }
        {
            d = size($6 - $3); c = size($9 - $3)
            if (c > control) control = c
            least = $1 <= 10 ? floor : 5e-3
            allowed = bound * control > least ? bound * control : least
            print rule "," $1 "," $3 "," $6 "," d "," c "," allowed > out
            if (d > largest) largest = d
            if (!(d <= allowed) && !bad) bad = $1
        }
        END {
            printf "# %s: %d steps, largest difference %.3g, of the control %.3g\n", rule, NR - 1, largest, control
            exit NR - 1 != steps || bad
        }'
}

# shellcheck disable=SC2086 # the options are lists of words
for rule in sgd adam; do
    options="$common $([ $rule = sgd ] && echo "$sgd")"
    trained "cpu-$rule" 0 --device cpu $options || continue
    control=$GPU_WORK/cpu-$rule
    if ! have_mpirun; then
        skip "$rule: the control on two ranks" "no mpirun: no more than the floor is allowed"
    elif trained "cpu-$rule-ddp" 2 --device cpu --mode ddp --threads 1 --oversubscribe $options; then
        control=$GPU_WORK/cpu-$rule-ddp
    else
        continue
    fi
    trained "$device-$rule" 0 --device "$device" $options || continue
    if paste -d, "cpu-$rule/steps.csv" "$device-$rule/steps.csv" "$control/steps.csv" |
        compare "$rule" "losses-$rule.csv" "$([ $rule = sgd ] && echo 1e-5 || echo 2e-4)"; then
        pass "$rule, fp32: $steps losses on $device follow cpu's"
    else
        fail "$rule, fp32: $steps losses on $device follow cpu's" \
            "$(awk -F, '$5 > $7 { print "step " $2 ": " $4 " against " $3 ", allowed are " $7; exit }' "losses-$rule.csv")"
    fi
    mean_follows "$rule, fp32" "cpu-$rule" "$device-$rule" "$([ $rule = sgd ] && echo 0.02 || echo 0.08)"
done
{
    echo rule,step,cpu_loss,device_loss,difference,control_difference,allowed
    cat losses-*.csv
} >losses.csv 2>/dev/null

# Narrower types.
for precision in $(precisions); do
    if [ "$precision" = fp32 ] || [ ! -f cpu-sgd/steps.csv ]; then continue; fi
    # shellcheck disable=SC2086
    trained "$device-$precision" 0 --device "$device" --precision "$precision" $common $sgd || continue
    follows_fp32 "$precision" cpu-sgd "$device-$precision"
done
