#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# POSIX ACLs on a mount: they let in and keep out, are inherited, follow chmod, and
# the umask counts only where no default ACL does; xattrs of several kinds beside them.
. "$XN_SOURCE/tests/fuse/lib.sh"
command -v setfacl >/dev/null || skip "no setfacl here"

as() { # uid command...
	local uid=$1
	shift
	setpriv --reuid "$uid" --regid "$uid" --clear-groups "$@"
}
entry() { getfacl -pcn "$1" | grep -x "$2" >/dev/null || fail "$1 lacks '$2': $(getfacl -pcn "$1")"; }

xn format disk.img --size 64M >/dev/null && xn mkfs disk.img --root home --type cffs >/dev/null &&
	xn mkfs disk.img --root plain --type simplefs >/dev/null || fail "mkfs"
serve disk.img mnt -o allow_other
chmod 755 mnt/home
umask 022

echo secret >mnt/home/secret
chmod 600 mnt/home/secret
as 1234 cat mnt/home/secret 2>/dev/null && fail "anybody reads a file of mode 600"
setfacl -m u:1234:r mnt/home/secret || fail "setfacl"
[ "$(as 1234 cat mnt/home/secret)" = secret ] || fail "who was let in cannot read"
as 1235 cat mnt/home/secret 2>/dev/null && fail "another was let in"
as 1234 sh -c 'echo x >mnt/home/secret' 2>/dev/null && fail "who may read may write"
[ "$(stat -c %A mnt/home/secret)" = "-rw-r-----" ] || fail "the mask does not show: $(stat -c %A mnt/home/secret)"
chmod g-r mnt/home/secret # the mask
as 1234 cat mnt/home/secret 2>/dev/null && fail "chmod did not change the mask"
entry mnt/home/secret 'mask::---'
setfacl -b mnt/home/secret
[ "$(getfacl -pcn mnt/home/secret | grep -c user:1234)" = 0 ] || fail "the ACL stays"
as 1234 setfacl -m u:1234:rwx mnt/home/secret 2>/dev/null && fail "not the owner, and sets the ACL"

mkdir mnt/home/shared
setfacl -d -m u:1234:rwx,g::rx,o::- mnt/home/shared || fail "setfacl -d"
(umask 077 && touch mnt/home/shared/f && mkdir mnt/home/shared/d)
entry mnt/home/shared/f 'user:1234:rwx.*'
[ "$(stat -c %a mnt/home/shared/f)" = 660 ] || fail "the umask counted where a default ACL does: $(stat -c %a mnt/home/shared/f)"
entry mnt/home/shared/d 'default:user:1234:rwx'
chmod 755 mnt/home/shared
as 1234 sh -c "echo mine >mnt/home/shared/f" || fail "the inherited entry does not let in"
as 1234 touch mnt/home/shared/f || fail "who may write may not touch"
as 1235 truncate -s 0 mnt/home/shared/f 2>/dev/null && fail "a stranger may truncate"
(umask 077 && touch mnt/home/alone)
[ "$(stat -c %a mnt/home/alone)" = 600 ] || fail "the umask did not count where no default ACL is"

setfattr -n user.note -v text mnt/home/alone || fail "a user xattr"
setfattr -n trusted.note -v deep mnt/home/alone || fail "a trusted xattr"
as 1234 getfattr -n trusted.note mnt/home/alone >/dev/null 2>&1 && fail "anybody reads trusted xattrs"

# After a remount all is as it was; the root without ACLs says so.
umask 022
stop mnt
serve disk.img mnt -o allow_other
entry mnt/home/shared 'default:user:1234:rwx'
entry mnt/home/shared/f 'user:1234:rwx.*'
[ "$(getfattr --only-values -n user.note mnt/home/alone)" = text ] || fail "the xattr is gone"
touch mnt/plain/f
stop mnt

# Where root alone enters the kernel knows nothing of ACLs: they are kept all the same.
serve disk.img mnt
entry mnt/home/shared/f 'user:1234:rwx.*'
(umask 077 && touch mnt/home/shared/g)
[ "$(stat -c %a mnt/home/shared/g)" = 660 ] || fail "root alone: not inherited: $(stat -c %a mnt/home/shared/g)"
chmod 600 mnt/home/alone
stat mnt/home/alone >/dev/null
setfacl -m u:1234:rx mnt/home/alone || fail "root alone: setfacl"
[ "$(stat -c %A mnt/home/alone)" = "-rw-r-x---" ] || fail "root alone: the mask does not show: $(stat -c %A mnt/home/alone)"
chmod g-x mnt/home/alone
entry mnt/home/alone 'mask::r--'
setfacl -x u:1234 -m m::- mnt/home/alone || fail "root alone: setfacl -x"
[ "$(stat -c %A mnt/home/alone)" = "-rw-------" ] || fail "root alone: the mask stays: $(stat -c %A mnt/home/alone)"
refuses 1 "not supported" setfacl -m u:1234:r mnt/plain/f
stop mnt
fsck_clean disk.img
