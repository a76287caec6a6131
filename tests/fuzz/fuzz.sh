#!/bin/sh
# libFuzzer with AddressSanitizer and UndefinedBehaviorSanitizer on each reader of files, MINUTES of processor time each.
#
#   sh tests/fuzz/fuzz.sh MINUTES [READER...]    (manifest, part, shard, csv, safetensors, index, config)
#
# Needs clang with its run-time libraries (Debian: clang-14, libclang-rt-14-dev). What is found, the corpus, which the
# next call goes on from, and how many minutes there were in all (READER.minutes) lie in build-fuzz/fuzz/; a file that crashed belongs into tests/fuzz/found/READER-NAME, where every test run tries it again.
set -eu
cd "$(dirname "$0")/../.."
minutes=${1:?usage: fuzz.sh MINUTES [READER...]}
shift
[ $# -gt 0 ] || set -- manifest part shard csv safetensors index config
build=build-fuzz
if [ ! -f $build/build.ninja ]; then
    CC=${CC:-clang-14} CXX=${CXX:-clang++-14} meson setup $build --buildtype=debugoptimized -Dfuzz=true -Dcuda=disabled -Demulated=disabled \
        -Db_sanitize=address,undefined -Db_lundef=false -Dc_args=-fsanitize=fuzzer-no-link >$build.log
fi
targets=''
for name in "$@"; do targets="$targets tests/fuzz/fuzz_$name tests/fuzz/try_$name"; done
# shellcheck disable=SC2086 # words
ninja -C $build $targets >$build.log || { tail -n 20 $build.log; exit 1; }
rm -f $build.log
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 ASAN_OPTIONS=allocator_may_return_null=1
export LSAN_OPTIONS=suppressions=tests/leaks.txt:print_suppressions=0
failed=0
for name in "$@"; do
    corpus=$build/fuzz/$name
    mkdir -p "$corpus"
    $build/tests/fuzz/try_"$name" seeds "$corpus"
    for file in tests/fuzz/found/"$name"-*; do [ ! -f "$file" ] || cp "$file" "$corpus"; done
    echo "$name: $(date)"
    FUZZ_SECONDS=$((minutes * 60)) $build/tests/fuzz/fuzz_"$name" -max_len=65536 -rss_limit_mb=2048 -timeout=20 \
        -artifact_prefix=$build/fuzz/"$name"- -print_final_stats=1 "$corpus" >$build/fuzz/"$name".log 2>&1 &&
        echo "$minutes" >>$build/fuzz/"$name".minutes || failed=1
    grep -E 'stat::number_of_executed_units|stat::peak_rss_mb|ERROR|SUMMARY|Test unit written' $build/fuzz/"$name".log || true
    echo "$name: corpus of $(find "$corpus" -type f | wc -l) files, minutes so far:" \
        "$(cat $build/fuzz/"$name".minutes 2>/dev/null | awk '{ sum += $1 } END { print sum + 0 }')"
done
exit $failed
