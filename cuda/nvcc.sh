#!/bin/sh
# nvcc.sh OBJECT REPORT DEPFILE NVCC ARGUMENT...: compiles, and keeps what ptxas -v says in REPORT.
# A failure prints it.
object=$1 report=$2 depfile=$3
shift 3
if "$@" -c -o "$object" -MD -MF "$depfile" >"$report" 2>&1; then
    exit 0
fi
cat "$report" >&2
rm -f "$object" "$report"
exit 1
