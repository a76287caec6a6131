#!/bin/sh
# The bundle of tests/gpu-remote.sh, made, unpacked and run here on device cpu: in a root folder
# that holds nothing but it, glibc, a shell with its tools, and CUDA's libraries where the build
# needs them. Where no such root can be made, in place with an empty environment.
#
#   sh test_bundle.sh BUILD-FOLDER
set -u
build=${1:?"usage: sh test_bundle.sh BUILD-FOLDER"}
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v orted >/dev/null; then
    echo "1..0 # SKIP a bundle is made of Open MPI 4's mpirun and orted, and orted is not installed"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
count=0
report() { # STATUS WHAT
    count=$((count + 1))
    [ "$1" -eq 0 ] && echo "ok $count - $2" || echo "not ok $count - $2"
}
tools='sh awk basename cat chmod cmp cp cut date dirname env expr find getconf grep head id kill ls mkdir
mktemp mv od paste printf readlink rm sed seq sleep sort tail tee test timeout touch tr uname uniq wc'

sh "$here/../gpu-remote.sh" --to "$work/b.tar.gz" "$build" >"$work/made" 2>&1
code=$?
sed 's/^/# /' "$work/made"
report $code "a bundle of at most 60 MiB is made"
[ $code -eq 0 ] || { echo "1..$count"; exit 1; }

root=$work/root
mkdir -p "$root/tmp" "$root/bin" "$root/proc" "$root/dev" "$root/sys" "$root/cuda"
tar -C "$root/tmp" -xf "$work/b.tar.gz"
bundle=$root/tmp/lockstep-gpu

# A missing library of CUDA's is named, and costs no hang and no other text.
echo libnosuch.so.1 >"$work/names"
sh "$bundle/libexec/find-cuda.sh" "$work/names" >"$work/out" 2>"$work/err"
[ $? -eq 3 ] && grep -q 'missing: libnosuch.so.1 ' "$work/err" && [ "$(wc -l <"$work/err")" -eq 1 ]
report $? "find-cuda.sh names what is missing, exit code 3"
if command -v python3 >/dev/null; then
    mkdir -p "$work/site/nvidia/some/lib"
    : >"$work/site/nvidia/some/lib/libnosuch.so.1"
    [ "$(PYTHONPATH=$work/site sh "$bundle/libexec/find-cuda.sh" "$work/names")" = "$work/site/nvidia/some/lib" ]
    report $? "find-cuda.sh looks into the nvidia folders of python3's packages"
fi
cuda=$(sh "$bundle/libexec/find-cuda.sh" "$bundle/etc/cuda-libraries" 2>"$work/err")
code=$?
sed 's/^/# /' "$work/err"
report $code "CUDA's libraries that the build needs are found"

copy_with_libraries() { # FILE-OF-THIS-MACHINE
    for file in "$1" $(ldd "$1" 2>/dev/null | grep -oE '/[^ ]+'); do
        mkdir -p "$root$(dirname "$file")"
        [ -e "$root$file" ] || cp -L "$file" "$root$file"
    done
}
for tool in $tools; do
    path=$(command -v "$tool") || continue
    case $path in
    /*) ;;
    *) path=$(env which "$tool" 2>/dev/null) || continue ;; # a builtin of this shell
    esac
    copy_with_libraries "$path"
    [ -e "$root/bin/$tool" ] || cp -L "$path" "$root/bin/$tool"
done
# The parts of glibc that programs here need and tools do not.
for name in libdl.so.2 libpthread.so.0 librt.so.1 libresolv.so.2 libutil.so.1 libm.so.6; do
    path=$(ldconfig -p 2>/dev/null | sed -n "s,^[[:space:]]*$name .*=> ,,p" | head -n 1)
    [ -z "$path" ] || copy_with_libraries "$path"
done

# Runs $1 with the shell of that root. CUDA's libraries are mounted one by one into /cuda.
cat >"$work/enter.sh" <<'END'
set -eu
root=$1 cuda=$2 command=$3
for folder in proc dev sys; do mount --rbind /$folder "$root/$folder"; done
for folder in $(echo "$cuda" | tr ':' ' '); do
    for file in "$folder"/libcu*.so* "$folder"/libnccl*.so* "$folder"/libnv*.so*; do
        name=$root/cuda/$(basename "$file")
        if [ -e "$file" ] && [ ! -s "$name" ]; then # the first folder's stands
            : >>"$name"
            mount --bind "$(readlink -f "$file")" "$name"
        fi
    done
done
exec env -i PATH=/bin LD_LIBRARY_PATH=/cuda "$(command -v chroot || echo /usr/sbin/chroot)" "$root" /bin/sh -c "$command"
END
in_root() { # COMMAND
    unshare --mount --propagation private sh "$work/enter.sh" "$root" "$cuda" "$1"
}
place=/tmp/lockstep-gpu tmp=/tmp
if [ "$(in_root 'echo yes' 2>/dev/null)" = yes ]; then
    [ -z "$(find "$root" -path "$bundle" -prune -o \( -name 'libmpi*' -o -name 'libhdf5*' -o -name 'libpmix*' -o -name 'libdnnl*' -o -name 'libhwloc*' \) -print)" ]
    report $? "the root folder holds none of our libraries but the bundle's"
else
    echo "# no root folder of its own can be made here: in place, with an empty environment"
    place=$bundle tmp=$work
    in_root() { env -i PATH=/usr/bin:/bin ${cuda:+LD_LIBRARY_PATH="$cuda"} sh -c "$1"; }
fi

# Its limits are those of a machine with nothing else to do.
in_root "LOCKSTEP_PATIENCE=3 sh $place/tests/gpu.sh --device cpu --quick --only machine,ranks,faults,smoke,floors_bf16,floors $tmp/out" >"$work/run" 2>&1
code=$?
sed 's/^/# /' "$work/run"
report $code "tests/gpu.sh runs from the bundle on cpu, with 2 and 4 ranks under its mpirun"
tail -n 1 "$work/run" | grep -Eq '^[0-9]+ passed, 0 failed, [0-9]+ skipped$'
report $? "its last line counts the checks"
for file in gpu.log report.md checks.csv op_floor.csv; do
    [ -s "$root/tmp/out/$file" ] || [ -s "$work/out/$file" ]
    report $? "it wrote $file"
done

# Every library that mpirun and its ranks loaded is the bundle's, glibc's or CUDA's.
in_root "cd $tmp && $place/bin/lockstep pack synthetic few --images 64 --test-images 16 >/dev/null &&
    mkdir loaded && LD_DEBUG=libs LD_DEBUG_OUTPUT=$tmp/loaded/by OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
    $place/bin/mpirun --oversubscribe --bind-to none -n 2 $place/bin/lockstep train --device cpu --mode ddp \
    --data few --epochs 1 --threads 1 --oversubscribe --results two" >"$work/two" 2>&1
report $? "two ranks train under the bundle's mpirun"
grep -h 'calling init: ' "$root"/tmp/loaded/by.* "$work"/loaded/by.* 2>/dev/null | sed 's/.*calling init: //' | sort -u |
    grep -Ev '/(ld-linux[^/]*|lib(c|m|dl|rt|pthread|resolv|util|tinfo|selinux|pcre2-8|acl|attr)|lib(cu|nccl|nv)[^/]*)\.so' >"$work/libraries"
grep -c . "$work/libraries" | sed 's/$/ libraries loaded that are neither glibc nor CUDA/; s/^/# /'
grep -q "^$place/lib/libmpi" "$work/libraries" && grep -q "^$place/lib/openmpi/mca_btl_vader" "$work/libraries" &&
    ! grep -v "^$place/" "$work/libraries"
report $? "every one of them is the bundle's"
echo "1..$count"
