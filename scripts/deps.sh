#!/bin/sh
# Installs what a piece of work needs from Debian packages, and says nothing if it is all there.
#
#   scripts/deps.sh [build|test|lint|bench|fuzz|data]...        default: build
#
# Each line of the table is: group, package, and what to look for where there is no dpkg
# (a command, or a header with its slash or dot).
set -eu

table() {
    cat <<'TABLE'
build  gcc                 cc
build  libc6-dev           stdio.h
build  meson               meson
build  ninja-build         ninja
build  pkg-config          pkg-config
build  libxxhash-dev       xxhash.h
build  liblz4-dev          lz4.h
build  libzstd-dev         zstd.h
build  libedit-dev         editline/readline.h
test   libcmocka-dev       cmocka.h
test   python3             python3
test   strace              strace
test   binutils            nm
test   libleveldb-dev      leveldb/c.h
lint   python3             python3
lint   binutils            nm
lint   clang-14            clang
lint   clang-format-14     clang-format
lint   clang-tidy-14       clang-tidy
lint   libclang-rt-14-dev  clang
bench  librocksdb-dev      rocksdb/c.h
bench  libleveldb-dev      leveldb/c.h
bench  liblmdb-dev         lmdb.h
fuzz   clang-14            clang
fuzz   libclang-rt-14-dev  clang
data   dict-wn             dict-wn
TABLE
}

die() {
    echo "deps.sh: $*" >&2
    exit 1
}

is_there() { # package probe
    if command -v dpkg-query >/dev/null; then
        # Some packages are provided under another name (pkg-config by pkgconf), so ask the probe too.
        case $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) in
        installed) return 0 ;;
        esac
        [ "$1" = pkg-config ] && command -v pkg-config >/dev/null
        return
    fi
    case $2 in
    *.h) echo "#include <$2>" | cc -E -x c - >/dev/null 2>/dev/null ;;
    *) command -v "$2" >/dev/null ;;
    esac
}

missing=
for group in "${@:-build}"; do
    found=no
    while read -r of package probe; do
        [ "$of" = "$group" ] || continue
        found=yes
        case " $missing " in *" $package "*) continue ;; esac
        is_there "$package" "$probe" || missing="$missing $package"
    done <<ROWS
$(table)
ROWS
    [ $found = yes ] || die "no such group: $group (build, test, lint, bench, fuzz, data)"
done
[ -n "$missing" ] || exit 0

command -v apt-get >/dev/null ||
    die "missing:$missing. These are Debian's names; without apt-get, please install them by hand."

as_root=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "missing:$missing. Install them as root; there is no sudo."
    as_root=sudo
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
    # shellcheck disable=SC2086  # the list is meant to split
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
        install -y --no-install-recommends $missing >"$log" 2>&1 </dev/null
}

echo "deps.sh: installing$missing" >&2
if ! install; then
    # A fresh machine has no package lists, an old one has stale ones.
    $as_root apt-get -o DPkg::Lock::Timeout=300 update >"$log" 2>&1 </dev/null && install || {
        cat "$log" >&2
        die "could not install:$missing"
    }
fi
