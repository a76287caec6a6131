#!/bin/sh
# Makes what proves the cuda device on another machine, one with a GPU where nothing of ours is
# installed, and prints the command to give there. It is one archive of at most 60 MiB: the programs,
# mpirun with its plug-ins, and the shared libraries that they need beyond glibc (that machine's may
# not be older than this one's) and CUDA's (looked for there).
#
# Open MPI is version 4's: version 5 starts ranks by other programs.
#
#   sh tests/gpu-remote.sh [--emulated] [--to FILE.tar.gz] [BUILD-FOLDER]
#
# The archive is .gpu/lockstep-gpu.tar.gz in this tree, a folder that git does not see, or FILE, whose
# ending chooses the compression that tar applies. The folder `build` is meant where none is given.
# --emulated: programs whose GPU is emulated by the CPU (tests/emulated/), to try it all without one.
# Exit codes: 1 something could not be packed, or more than 60 MiB; 2 bad input.
set -eu
most_bytes=$((60 * 1024 * 1024))
top=$(cd "$(dirname "$0")/.." && pwd)
fail() { # CODE TEXT
    echo "gpu-remote.sh: $2" >&2
    exit "$1"
}

emulated='' out='' build=''
while [ $# -gt 0 ]; do
    case $1 in
    --emulated) emulated=yes ;;
    --to)
        out=${2:-}
        case $out in *.tar.*) shift ;; *) fail 2 "--to: expected FILE.tar.gz (or .xz, .zst), found '$out'" ;; esac
        ;;
    --*) fail 2 "unknown option '$1' (expected --emulated or --to)" ;;
    *)
        [ -z "$build" ] || fail 2 "one build folder, found '$build' and '$1'"
        build=$1
        ;;
    esac
    shift
done
out=${out:-$top/.gpu/lockstep-gpu.tar.gz}
build=${build:-$top/build}
[ -x "$build/lockstep" ] || fail 2 "$build: no lockstep there (meson compile -C $build)"
build=$(cd "$build" && pwd)
for tool in ldd mpirun orted readlink tar; do
    command -v $tool >/dev/null || fail 2 "$tool is not installed"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
root=$work/lockstep-gpu
mkdir -p "$root/bin" "$root/libexec" "$root/lib/openmpi" "$root/lib/pmix" "$root/etc" "$root/share" \
    "$root/tests/bench"

program() { # FILE NAME: the real one in libexec/, its starter in bin/
    [ -x "$1" ] || fail 1 "$1 is missing (meson compile -C $build)"
    cp -L "$1" "$root/libexec/$2"
    cp "$top/tests/gpu/start.sh" "$root/bin/$2"
    chmod +x "$root/bin/$2"
}
if [ -n "$emulated" ]; then
    for file in "$(sh "$top/tests/gpu/emulated_programs.sh" "$build")"/*; do program "$file" "$(basename "$file")"; done
    : >"$root/etc/emulated"
else
    program "$build/lockstep" lockstep
    while read -r name; do
        case $name in
        tests/kernels/* | tests/plans/*) [ -x "$build/$name" ] || continue ;; # of a build with CUDA
        esac
        program "$build/$name" "$(basename "$name")"
    done <"$top/tests/gpu/programs"
fi
program "$(readlink -f "$(command -v mpirun)")" mpirun
program "$(command -v orted)" orted

# Open MPI's plug-ins: what one node needs. Networks, launchers and file systems stay behind, and
# with them the libraries that they pull in.
plugins() {
    ompi_info --path pkglibdir --parsable 2>/dev/null | sed -n 's/^path:pkglibdir:\(.*openmpi3*\)$/\1/p' | head -n 1
}
from=$(plugins)
[ -d "$from" ] || fail 1 "ompi_info names no folder of plug-ins"
for file in "$from"/mca_*.so; do
    case $(basename "$file") in
    *_ucx.so | *_ofi.so | *openib* | *psm* | *portals* | *slurm* | *_rsh* | *tm.so | *gridengine* | \
        *romio* | *ompio* | mca_f[sb]* | mca_fcoll* | mca_sharedfp* | *monitoring* | mca_s[cp]*ll_* | \
        mca_spml* | mca_sshmem* | mca_memheap* | mca_atomic* | *flux* | *jsm* | *simulator* | *vprotocol*) ;;
    *) cp -L "$file" "$root/lib/openmpi/" ;;
    esac
done
cp -R "$(ompi_info --path pkgdatadir --parsable | sed -n 's/^path:pkgdatadir://p')" "$root/share/openmpi"
: >"$root/etc/openmpi-mca-params.conf"

libraries_of() { # FILE...: "name path" of all that they load
    LD_LIBRARY_PATH="${emulated:+$build/tests/emulated}" ldd "$@" 2>/dev/null | sed -n 's/^[[:space:]]*\([^ ]*\) => \(.*\)$/\1 \2/p' | sed 's/ (0x[0-9a-f]*)$//' | sort -u
}
pmix=$(libraries_of "$root/libexec/lockstep" | sed -n 's/^libpmix[^ ]* //p')
for file in "$(dirname "$(readlink -f "$pmix")")"/pmix/*.so "$(dirname "$pmix")"/pmix/*.so \
    "$(dirname "$pmix")"/pmix2/lib/pmix/*.so; do
    case $file in
    *slurm* | *\**) ;;
    *) cp -L "$file" "$root/lib/pmix/" ;;
    esac
done

# glibc belongs to the machine, CUDA to its driver or its Python: everything else comes along.
of_the_machine='^(linux-vdso|ld-linux[^ ]*|lib(c|m|dl|rt|pthread|resolv|util|anl|nsl|mvec))\.so'
of_cuda='^lib(cuda|cudart|cublas|cublasLt|cudnn[a-z_]*|nccl|nvrtc|nvJitLink|nvidia-[a-z]*)\.so'
libraries_of "$root"/libexec/* "$root"/lib/*/*.so >"$work/libraries"
if grep ' not found$' "$work/libraries" | grep -Ev "$of_cuda"; then
    fail 1 "the libraries above are not found on this machine"
fi
grep -Ev "$of_the_machine" "$work/libraries" | grep -Ev "$of_cuda" | while read -r name path; do
    cp -L "$path" "$root/lib/$name"
done
# The names that must be found there.
grep -E "$of_cuda" "$work/libraries" | cut -d' ' -f1 >"$root/etc/cuda-libraries" || true

cp "$top/tests/gpu/environment.sh" "$top/tests/gpu/find-cuda.sh" "$root/libexec/"
cp -R "$top/tests/gpu.sh" "$top/tests/gpu" "$root/tests/"
cp "$top"/tests/bench/gpu_*.py "$top/tests/bench/resnet.py" "$root/tests/bench/"
git -C "$top" describe --always --dirty >"$root/etc/version" 2>/dev/null || echo unknown >"$root/etc/version"

mkdir -p "$(dirname "$out")"
packed=$work/packed.tar.${out##*.tar.}
tar -C "$work" --owner=0 --group=0 -caf "$packed" lockstep-gpu || fail 1 "tar cannot write $out"
bytes=$(wc -c <"$packed")
[ "$bytes" -le $most_bytes ] || fail 1 "$out would be $bytes bytes, more than $most_bytes (try .tar.xz)"
mv "$packed" "$out"
echo "$out: $bytes bytes; there, with a copy of it (--only first OUT: the short answer in 90 s;" \
    "--resume OUT: what has not passed yet):"
echo
echo "tar -C /tmp -xf ${out#"$top"/} && sh /tmp/lockstep-gpu/tests/gpu.sh \"\${OUT:-gpu-results}\""
