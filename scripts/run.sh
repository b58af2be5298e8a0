#!/bin/sh
# `make run`: the main job on real data. Loads WordNet's dictionary into a store, looks around in it
# and, on a terminal, ends in the shell. Run again, it finds the data still there.
#
#   VARVE_STORE=dir    where the store is to be; build/wordnet by default
#   BUILD=dir          where the command was built
set -eu
cd "$(dirname "$0")/.."

build=${BUILD:-build}
varve=$build/varve
records_least=100000

bold=
plain=
if [ -t 1 ] && [ -z "${NO_COLOR-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    bold=$(printf '\033[1m')
    plain=$(printf '\033[0m')
fi

say() {
    printf '\n%s\n' "$*"
}

# Prints a command as one would type it, then runs it.
run() {
    printf '\n%s$' "$bold"
    for part in "$@"; do
        case $part in
        *[!A-Za-z0-9_./:=-]* | '') printf " '%s'" "$part" ;;
        *) printf ' %s' "$part" ;;
        esac
    done
    printf '%s\n' "$plain"
    "$@"
}

set_name=wordnet
if ! [ -r /usr/share/dictd/wn.index ] && ! scripts/deps.sh data; then
    say "The package dict-wn cannot be had; the names of all Unicode characters will do instead."
    set_name=unicode
fi
case $set_name in
wordnet)
    what="WordNet: English words and what they mean"
    word=sediment
    prefix=sediment
    ;;
unicode)
    what="Unicode: the names of characters"
    word='GREEK SMALL LETTER ALPHA'
    prefix='GREEK SMALL LETTER E'
    ;;
esac
store=${VARVE_STORE:-$build/$set_name}

records=0
if [ -e "$store" ]; then
    records=$("$varve" count "$store")
fi
if [ "$records" -ge $records_least ]; then
    say "$what."
    echo "The $records records that an earlier run loaded are still in $store."
else
    say "$what."
    echo "They go into a new store, $store."
    printf '\n%s$ scripts/dataset %s >%s%s\n' "$bold" $set_name "$build/$set_name.tsv" "$plain"
    scripts/dataset $set_name >"$build/$set_name.tsv"
    run "$varve" load "$store" "$build/$set_name.tsv"
    run "$varve" compact "$store"
fi

say "A lookup:"
run "$varve" get "$store" "$word"
[ -t 1 ] || echo
say "All keys with a prefix:"
run "$varve" scan "$store" --prefix "$prefix" --keys
say "The first entry from some point on, for programs:"
run "$varve" scan "$store" --from "$prefix" --limit 1 --json
say "How many there are:"
run "$varve" count "$store"
say "What there is to say about the store:"
run "$varve" stat "$store"

if [ -t 0 ] && [ -t 1 ]; then
    say "Now you; \`help\` lists the words, Ctrl-D leaves."
    run "$varve" shell "$store"
else
    say "On a terminal, this ends in the shell: $varve shell $store"
fi
