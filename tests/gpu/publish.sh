# shellcheck shell=sh disable=SC2154 # top, work, out, log, todo are gpu.sh's
# Sourced by gpu.sh: what stands in OUT, and in which order it is replaced. A file is written beside
# OUT and renamed, so that whatever ends gpu.sh, a file is the old one or the new one. checks.csv
# comes last: it says which parts are done, and then everything that they made is there.
log=$out/gpu.log
checks_header=part,result,check,reason
staging=''

# On OUT's file system, and not in OUT: a rename must be one.
open_staging() {
    for left in "$out".writing-*; do [ ! -d "$left" ] || rm -rf "$left"; done
    staging=$out.writing-$$
    mkdir -p "$staging" 2>/dev/null &&
        [ "$(stat -c %d "$staging" 2>/dev/null)" = "$(stat -c %d "$out" 2>/dev/null)" ] && return
    rm -rf "$staging"
    staging=$out/.writing
    rm -rf "$staging"
    mkdir -p "$staging"
}
replace() { # NAME: its new contents come on standard input
    cat >"$staging/$1" && mv "$staging/$1" "$out/$1"
}

# ---- rows of checks.csv: PART,RESULT,"CHECK","REASON"

case_rows() { # PART: TAP cases on standard input to rows
    awk -v part="$1" '
        function quoted(text) { gsub(/"/, "\"\"", text); return "\"" text "\"" }
        !/^(not )?ok / { next }
        {
            result = /^not ok/ ? "failed" : /# SKIP/ ? "skipped" : "passed"
            name = $0; reason = ""
            sub(/^(not )?ok( - )?/, "", name)
            if (result == "skipped") { reason = name; sub(/.*# SKIP */, "", reason); sub(/ *# SKIP.*/, "", name) }
            print part "," result "," quoted(name) "," quoted(reason)
        }'
}
others_of() { # PART: rows on standard input that are not its
    awk -F, -v part="$1" '$1 != part'
}
counts_of() { # FILE
    awk -F, '$2 == "passed" { p++ } $2 == "failed" { f++ } $2 == "skipped" { s++ }
        END { printf "%d passed, %d failed, %d skipped\n", p, f, s }' "$1"
}
# Parts in which something failed, or was skipped for want of time or of a device, which may be there
# the next time; what else is skipped is so because of what this machine or this device is.
parts_to_repeat() { # FILE
    awk -F, '$2 == "failed" || /,"no (time|device)[^"]*"$/ { print $1 }' "$1" | sort -u
}

# ---- opening, and with --resume reading back

section_of() { # PART: of the report in OUT
    awk -v part="$1" '
        $0 == "<!-- end of " part " -->" { on = 0 }
        on
        $0 == "<!-- " part " -->" { on = 1 }' "$out/report.md"
}

keep_part() { # PART
    awk -F, -v part="$1" '$1 == part' "$work/before.csv" >>"$work/checks.csv"
    section_of "$1" >"$work/$1.md"
    [ -s "$work/$1.md" ] || rm "$work/$1.md"
    todo=$(echo "$todo" | sed "s/ $1 / /")
}

# What results may stand beside one another: those of one device, at one kind of sizes. Builds may
# differ, where something was mended, and the report names all of them.
kind="$device$([ "$quick" != yes ] || echo ', small sizes')"
builds=$(cat "$top/etc/version" 2>/dev/null || git -C "$top" describe --always --dirty 2>/dev/null || echo unknown)

check_kind() {
    before=$(sed -n 's/^<!-- run on \(.*\), built from \(.*\) -->$/\1/p' "$out/report.md")
    if [ "$before" != "$kind" ]; then
        echo "gpu.sh: --resume: $out has results of '$before', and this is a run on '$kind': expected the same --device and --quick" >&2
        exit 2
    fi
    built=$(sed -n 's/^<!-- run on .*, built from \(.*\) -->$/\1/p' "$out/report.md")
    case " $built " in *" $builds "*) builds=$built ;; *) builds="$built $builds" ;; esac
}

open_results() { # RESUME: yes or nothing
    open_staging
    : >"$work/checks.csv"
    if [ "$1" = yes ] && [ -f "$out/checks.csv" ] && [ -f "$out/report.md" ]; then
        check_kind
        chmod u+w "$out"/*
        sed 1d "$out/checks.csv" >"$work/before.csv"
        again=" $(parts_to_repeat "$work/before.csv" | tr '\n' ' ')"
        for part in $(cut -d, -f1 "$work/before.csv" | uniq); do
            case "$todo" in *" $part "*) case "$again" in *" $part "*) continue ;; esac ;; esac
            keep_part "$part"
        done
        if [ -f "$out/plans" ]; then
            mkdir -p "$work/cache/lockstep"
            cp "$out/plans" "$work/cache/lockstep/plans"
        fi
        # Whoever was ended in the middle of a write may have left half a line.
        [ -z "$(tail -c 1 "$log" 2>/dev/null)" ] || echo >>"$log"
        printf '\n=== resumed %s\n' "$(date -u '+%Y-%m-%d %H:%M:%S UTC')" >>"$log"
    else
        rm -f "$out"/*.csv "$out/report.md" "$out/plans"
        : >"$log"
    fi
}

# ---- what a part made

# Rows with a key of their own replace the old ones of that key; the others stay.
merge_rows() { # NAME COLUMNS: the first COLUMNS fields are the key
    [ -s "$work/$1" ] || return 0
    touch "$work/old-rows"
    [ ! -f "$out/$1" ] || cp "$out/$1" "$work/old-rows"
    awk -F, -v columns="$2" '
        function key(   i, k) { for (i = 1; i <= columns; i++) k = k "," $i; return k }
        FNR == NR { if (FNR == 1) print; else new[key()] = 1; next }
        FNR == 1 { next }
        !(key() in new)' "$work/$1" "$work/old-rows" >"$work/merged"
    sed 1d "$work/$1" >>"$work/merged"
    replace "$1" <"$work/merged"
    rm -f "$work/$1" "$work/old-rows"
}

publish() {
    merge_rows epochs.csv 1
    merge_rows op_floor.csv 3
    merge_rows pytorch.csv 4
    merge_rows losses.csv 2
    [ ! -f "$work/cache/lockstep/plans" ] || replace plans <"$work/cache/lockstep/plans"
    sh "$top/tests/gpu/report.sh" "$work/checks.csv" "$(($(date +%s) - started))" "$(echo "$todo" | sed 's/^ *//; s/ *$//')" \
        "$kind" "$builds" >"$work/report.new" && replace report.md <"$work/report.new"
    { echo $checks_header && cat "$work/checks.csv"; } | replace checks.csv
}
