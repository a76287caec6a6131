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
# Parts with no row but such as passed, or were skipped because of what this machine or this device
# is: time and a device may be there the next time.
passed_parts() { # FILE
    awk -F, '
        !($1 in seen) { seen[$1] = 1; order[++n] = $1 }
        $2 == "failed" || /,"no (time|device)[^"]*"$/ { again[$1] = 1 }
        END { for (i = 1; i <= n; i++) if (!(order[i] in again)) print order[i] }' "$1"
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

open_results() { # RESUME: yes or nothing
    open_staging
    : >"$work/checks.csv"
    if [ "$1" = yes ] && [ -f "$out/checks.csv" ] && [ -f "$out/report.md" ]; then
        sed 1d "$out/checks.csv" >"$work/before.csv"
        for part in $(passed_parts "$work/before.csv"); do keep_part "$part"; done
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
    merge_rows pytorch.csv 3
    merge_rows losses.csv 2
    [ ! -f "$work/cache/lockstep/plans" ] || replace plans <"$work/cache/lockstep/plans"
    sh "$top/tests/gpu/report.sh" "$work/checks.csv" "$(($(date +%s) - started))" "$(echo "$todo" | sed 's/^ *//; s/ *$//')" \
        >"$work/report.new" && replace report.md <"$work/report.new"
    { echo $checks_header && cat "$work/checks.csv"; } | replace checks.csv
}
