#!/bin/sh
# Every source file is as .clang-format wants it, by the release that the rules are written for.
set -u
cd "$1"
wanted=14
for name in clang-format-$wanted clang-format; do
    if "$name" --version 2>/dev/null | grep -q "version $wanted\."; then
        tool=$name
        break
    fi
done
if [ -z "${tool:-}" ]; then
    echo "1..0 # SKIP clang-format $wanted is not installed"
    exit 0
fi
echo 1..1
find src cuda tests -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' -o -name '*.cc' |
    xargs "$tool" --dry-run -Werror >"$2" 2>&1
status=$?
[ $status -eq 0 ] || grep -E ' (error|warning):' "$2" | sed 's/^/# /' | head -n 40
[ $status -eq 0 ] && echo 'ok 1 - clang-format' || echo 'not ok 1 - clang-format'
exit $status
