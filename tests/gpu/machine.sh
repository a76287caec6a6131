# shellcheck shell=sh
# What machine this is, and that the device opens and trains at all.
# shellcheck source=tests/gpu/lib.sh
. "$GPU_TOP/tests/gpu/lib.sh"

echo "# $(uname -srm), $(getconf GNU_LIBC_VERSION 2>/dev/null || echo 'another libc'), $(getconf _NPROCESSORS_ONLN 2>/dev/null) cores"
version=$(cat "$GPU_TOP/etc/version" 2>/dev/null || git -C "$GPU_TOP" describe --always --dirty 2>/dev/null || echo unknown)
if command -v nvidia-smi >/dev/null; then
    limit 10 nvidia-smi --query-gpu=name,uuid,driver_version,memory.total,clocks.max.sm,power.limit \
        --format=csv | sed 's/^/# /'
else
    echo "# nvidia-smi is not installed"
fi

data=$(data_of "$(quickly 640 64 8)" "$(quickly 64 16 8)")
if trained_first opened 0 --device "$device" --data "$data" --epochs 1; then
    pass "$device opens and trains"
    check "the summary names the device $device" [ "$(field opened/summary.csv device)" = "$device" ]
    if [ "$device" = cuda ]; then
        uuid=$(field opened/summary.csv rank_gpu_uuids)
        case $uuid in
        GPU-????????-????-????-????-????????????) pass "the summary has the GPU's UUID" ;;
        *) fail "the summary has the GPU's UUID" "found '$uuid'" ;;
        esac
        check "the summary has the driver" [ -n "$(field opened/summary.csv rank_gpu_drivers)" ]
    fi
    {
        echo "lockstep $version; $(uname -srm)"
        echo
        sed -n -E 's/^(libraries|device|GPU driver|communication|CUDA graph)  */- \1: /p' opened.log
        echo
        sed -n '/^rank  host/,/^$/p' opened.log | sed 's/^/    /'
    } >"$GPU_WORK/machine.md"
fi
