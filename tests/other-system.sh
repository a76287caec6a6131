#!/bin/sh
# README's two commands on another release of Debian or Ubuntu, from nothing: a fresh root by
# debootstrap, a copy of this tree in it, slurm/quickstart.sh, and tests/run.sh.
#
#   sh tests/other-system.sh RELEASE [--quick]
#   sh tests/other-system.sh RELEASE --in FOLDER COMMAND
#
# RELEASE is debootstrap's name (trixie, bookworm, noble, jammy). --quick installs the packages,
# builds with -Werror and runs a few tests of each kind instead. The last line is
# `RELEASE: N passed, N failed, N skipped`; exit codes: 0 nothing failed, 1 something did, 2 bad use,
# 77 not possible here (the last line says why).
#
# --in keeps the root in FOLDER, makes it where it is not yet, brings the copy of the tree in it
# (/lockstep) up to date and runs COMMAND there, to measure or to look at what failed. The exit code is
# COMMAND's. Folders of this machine that LOCKSTEP_SYSTEM_BIND names (a Python with PyTorch, say) are
# seen there under the same paths.
#
# It needs root, debootstrap and a mirror (LOCKSTEP_MIRROR, else that of this machine's own sources,
# else debootstrap's own), 4 GB below TMPDIR (/var/tmp), and keeps the bare root and the packages for a
# week in ~/.cache/lockstep-systems. All of it runs in name spaces of its own for mounts and
# processes, which the kernel clears with their last process, whatever happens to this script.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
started=$(date +%s)
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/lockstep-systems

say() { printf '[%4d s] %s\n' $(($(date +%s) - started)) "$*"; }
skip() { echo "not possible here: $*"; exit 77; }
bad_use() { echo "other-system.sh: $1 (expected RELEASE [--quick | --in FOLDER COMMAND])" >&2; exit 2; }

# Whose release it is, and debootstrap's script for it: one serves all of Ubuntu's, those too that are
# younger than the debootstrap here.
scripts=/usr/share/debootstrap/scripts
script_of_release() {
    script=$(readlink -f "$scripts/$release" || true)
    [ -f "$script" ] || case $release in noble | plucky | questing) script=$scripts/gutsy ;; esac
    family=debian components=main
    [ "${script##*/}" != gutsy ] || family=ubuntu components=main,universe
}

# ---- inside the name spaces

# debootstrap takes its default by itself only where it knows the release's key.
mirror_of_this_machine() {
    {
        cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null || true
        [ $family = debian ] || sed 's/^[[:space:]]*default_mirror //' "$script" | grep -v old-
    } | tr ' ' '\n' | grep -E "^https?://.*/$family/?\$" | head -n 1
}

make_root() {
    [ ! -d "$root/usr" ] || return 0
    kept=$cache/$release-$(dpkg --print-architecture).tar
    mkdir -p "$root"
    if [ -f "$kept" ] && [ -z "$(find "$kept" -mtime +6)" ]; then
        say "root: $release, as debootstrap made it this week"
        tar -C "$root" --numeric-owner -xf "$kept"
    else
        mirror=${LOCKSTEP_MIRROR:-$(mirror_of_this_machine)}
        say "root: $release by debootstrap from ${mirror:-its own mirror}"
        debootstrap --variant=minbase --components=$components "$release" "$root" "$mirror" "$script" \
            >"$folder/debootstrap.txt" 2>&1 ||
            skip "debootstrap: $(tail -n 1 "$folder/debootstrap.txt")"
        tar -C "$root" --numeric-owner --exclude=./proc/* --exclude=./sys/* --exclude=./dev/* \
            -cf "$folder/kept.tar" . && mv "$folder/kept.tar" "$kept"
    fi
    # Nobody needs this root after a power cut.
    echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
}

# A mount point, for pivot_root: in a mere chroot /proc gives the paths of processes in other mount name
# spaces (cluster.sh's nodes) as this machine sees them.
mount_root() {
    mount --bind "$root" "$root"
    mount --make-private "$root"
    mount -t proc proc "$root/proc"
    for name in sys dev; do
        mount --rbind "/$name" "$root/$name"
        mount --make-rslave "$root/$name"
    done
    mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
    mount -t tmpfs -o mode=755 run "$root/run"
    for bound in ${LOCKSTEP_SYSTEM_BIND:-}; do
        mkdir -p "$root$bound"
        mount --rbind "$bound" "$root$bound"
    done
    # Packages that an earlier run fetched, unless another run holds them just now.
    exec 8>"$cache/lock"
    if flock -n 8; then
        find "$cache/packages" -name '*.deb' -mtime +6 -delete
        mount --bind "$cache/packages" "$root/var/cache/apt/archives"
    fi
}

# What this machine needs to reach others. Its certificates go where the package of that name does not
# write its own over them: a site's authority is in none of Debian's.
certificates=/etc/ssl/certs/ca-certificates.crt certificates_there=/etc/ssl/of-the-machine.crt
copy_network() {
    for file in /etc/resolv.conf /etc/hosts; do
        [ ! -f "$file" ] || cat "$file" >"$root$file"
    done
    mkdir -p "$root/etc/ssl"
    [ ! -f $certificates ] || cat $certificates >"$root$certificates_there"
}

copy_tree() {
    mkdir -p "$root/lockstep"
    if git -C "$here/.." rev-parse >/dev/null 2>&1; then
        git -C "$here/.." ls-files -co --exclude-standard
    else
        (cd "$here/.." && find . -name 'build*' -prune -o -name '.git' -prune -o -type f -print)
    fi | (cd "$here/.." && while read -r file; do [ ! -f "$file" ] || echo "$file"; done) |
        tar -C "$here/.." -cf - -T - | tar -C "$root/lockstep" --no-same-owner -xf -
}

in_root() { # COMMAND
    env | grep -iE '^(https?_proxy|no_proxy|PIP_[A-Z_]*|SSL_CERT_FILE|REQUESTS_CA_BUNDLE|CI)=' |
        sed "s|=$certificates\$|=$certificates_there|" >"$folder/environment" || true
    set -- "$1" HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 LOCKSTEP_OTHER_SYSTEM=inside
    while read -r line; do set -- "$@" "$line"; done <"$folder/environment"
    command=$1
    shift
    # shellcheck disable=SC2016 # expanded by the inner shell
    unshare --mount --propagation private sh -euc '
        cd "$1"
        shift
        pivot_root . mnt
        cd /
        umount -l /mnt
        exec env -i "$@"' pivot "$root" "$@" sh -c "cd /lockstep && $command"
}

passed=0 failed=0 skipped=0

step() { # NAME COMMAND: its output is shown where it fails
    say "$1"
    if in_root "$2" >"$folder/step.txt" 2>&1 </dev/null; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        tail -n 40 "$folder/step.txt" | sed 's/^/    /'
        echo "FAIL: $release: $1"
        return 1
    fi
}

count_from() { # LINE: "N N N" or "N passed, N failed, N skipped"
    # shellcheck disable=SC2046 # three numbers
    set -- $(echo "$1" | grep -oE '[0-9]+')
    [ $# -eq 3 ] || set -- 0 1 0
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

# A few of each kind: what differs between systems are the libraries, and how ranks are started.
quick_tests="base data loader report 'ops cpu' 'network cpu' 'comm on 2, host' launch certify"

run_quick() {
    step "packages" "sh slurm/packages.sh build" &&
        step "build" "meson setup build --buildtype=release -Dwerror=true && meson compile -C build lockstep" ||
        return 0
    say "tests: $(echo "$quick_tests" | tr -s ' \n' ' ')"
    # What these tests need is built now, by a meson of 1.7 or newer nothing else.
    in_root "meson test -C build --timeout-multiplier 4 --print-errorlogs $(echo "$quick_tests" | tr '\n' ' ')" \
        >"$folder/tests.txt" 2>&1 </dev/null || true
    counts=$(in_root "python3 tests/meson_counts.py build testlog" 2>"$folder/failed.txt") || counts=''
    sed 's/^/    /' "$folder/failed.txt"
    count_from "$counts"
}

run_all() {
    say "sh slurm/quickstart.sh"
    if in_root "sh slurm/quickstart.sh" </dev/null; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "FAIL: $release: slurm/quickstart.sh"
    fi
    say "sh tests/run.sh"
    in_root "sh tests/run.sh" </dev/null 2>&1 | tee "$folder/run.txt" || true
    count_from "$(tail -n 1 "$folder/run.txt")"
}

inside() {
    root=${kept_root:-$folder/root}
    mkdir -p "$cache/packages/partial"
    make_root
    mount_root
    copy_network
    copy_tree
    if [ -n "$kept_root" ]; then
        code=0
        in_root "$kept_command" || code=$?
        exit $code
    fi
    if [ "$quick" = yes ]; then run_quick; else run_all; fi
    say "done"
    echo "$release: $passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
}

# ---- outside

release=${1:-} quick=no kept_root='' kept_command='' folder=${LOCKSTEP_SYSTEM_FOLDER:-}
case $release in '' | -*) bad_use "no release" ;; esac
case $#:${2:-} in
1:) ;;
2:--quick) quick=yes ;;
4:--in) kept_root=$(realpath -m "$3") kept_command=$4 ;;
*) bad_use "'$2' does not follow, or lacks something" ;;
esac
script_of_release
if [ -n "$folder" ]; then
    inside
    exit
fi

[ -z "${LOCKSTEP_OTHER_SYSTEM:-}" ] || skip "this is such a root itself"
[ "$(id -u)" -eq 0 ] || skip "a root of another system needs root; this is user $(id -un)"
command -v debootstrap >/dev/null || skip "debootstrap is not installed (sh slurm/packages.sh test)"
[ -f "$script" ] || bad_use "debootstrap knows no release '$release'"
why=$(unshare --mount --pid --fork --mount-proc --propagation private true 2>&1) ||
    skip "this machine does not allow name spaces: $why"

# Left behind by a run that was killed: nobody holds its lock.
place=${TMPDIR:-/var/tmp}
for old in "$place"/lockstep-system.*; do
    [ ! -f "$old/lock" ] || flock -n "$old/lock" rm -rf "$old" || true
done
folder=$(mktemp -d "$place/lockstep-system.XXXXXX")
exec 9>"$folder/lock"
flock 9

child=''
clean_up() {
    code=$?
    trap - EXIT INT TERM HUP
    [ -z "$child" ] || { kill -KILL "$child" 2>/dev/null && wait "$child" 2>/dev/null; } || true
    # The mounts were never seen from here. A process of the root may still be on its way out.
    rm -rf "$folder" 2>/dev/null || { sleep 1; rm -rf "$folder"; }
    exit $code
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Whoever of these two is killed takes every process of the root along.
LOCKSTEP_SYSTEM_FOLDER=$folder setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child \
    --mount-proc --propagation private sh "$here/other-system.sh" "$@" 9>&- &
child=$!
code=0
wait $child || code=$?
child=''
exit $code
