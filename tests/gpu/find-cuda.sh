#!/bin/sh
# Where CUDA's libraries lie on this machine.
#
#   sh find-cuda.sh FILE      FILE: the names that are needed, a line each
#
# Prints the folders to add to LD_LIBRARY_PATH, with ':' between. A name that is nowhere is said
# on stderr, with where it was looked for; the exit code is then 3.
set -eu

folders_of_pip() { # nvidia/*/lib, as a PyTorch installation has them
    for python in python3 python; do
        "$python" -c '
import glob, os, sys
for path in sys.path:
    print("\n".join(sorted(glob.glob(os.path.join(path, "nvidia", "*", "lib")))))' 2>/dev/null && return
    done
}
folders() {
    echo "${LD_LIBRARY_PATH:-}" | tr ':' '\n'
    for folder in "${CUDA_HOME:-/usr/local/cuda}"/lib64 /usr/local/cuda/lib64 /usr/local/cuda*/lib64 \
        /usr/local/cuda*/lib /usr/local/cuda*/targets/x86_64-linux/lib /opt/cuda*/lib64 \
        /usr/lib/x86_64-linux-gnu /usr/lib64 /usr/local/lib; do
        echo "$folder"
    done
    folders_of_pip
}

looked=$(folders | sed '/^$/d')
found='' missing=''
while read -r name; do
    place=$(echo "$looked" | while read -r folder; do
        if [ -e "$folder/$name" ]; then
            echo "$folder"
            break
        fi
    done)
    if [ -z "$place" ]; then
        missing="$missing $name"
    else
        case ":$found:" in
        *":$place:"*) ;;
        *) found=${found:+$found:}$place ;;
        esac
    fi
done <"$1"
if [ -n "$missing" ]; then
    echo "lockstep: CUDA's libraries are not all on this machine; missing:$missing (looked in" \
        "LD_LIBRARY_PATH, \$CUDA_HOME, /usr/local/cuda*, the system's folders and python3's" \
        "nvidia/*/lib; name the folder in LD_LIBRARY_PATH)" >&2
    exit 3
fi
echo "$found"
