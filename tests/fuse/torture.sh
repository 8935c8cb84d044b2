#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# torture.sh LIBFS OPTIONS OPERATIONS [SEED]: many at work on few names of a mount, and a
# clean disk afterwards.
. "$XN_SOURCE/tests/fuse/lib.sh"

libfs=$1
xn format disk.img --size 128M >/dev/null 2>&1 || fail "format"
xn mkfs disk.img --root home --type "$libfs" >/dev/null 2>&1 || fail "mkfs $libfs"
serve disk.img mnt -o "root=home$2"
"$tests/posix_torture_mount" "$libfs" mnt "$3" 8 "${4-1}" || { tail -20 server.log; fail "seed ${4-1}"; }
stop mnt
fsck_clean disk.img
