# SPDX-License-Identifier: MIT
#
# Who may include what: the table of CONTRIBUTING.md for scripts to source.
# shellcheck shell=bash

components="udf xn libfs libfs/simplefs libfs/cffs libfs/example libfs/xnfs fuse-bridge fsck images"

# The component of a path: the longest folder of the list above.
component_of() {
	case $1 in
	libfs/simplefs/*) echo libfs/simplefs ;;
	libfs/cffs/*) echo libfs/cffs ;;
	libfs/example/*) echo libfs/example ;;
	libfs/xnfs/*) echo libfs/xnfs ;;
	*) echo "${1%%/*}" ;;
	esac
}

# Public headers `component` may include (check*.[ch], mend.c and anatomy.c of a LibFS: one more).
headers_allowed() {
	local xn="xn/xn.h xn/error.h xn/endian.h"
	local disk="xn/bdev.h xn/error.h xn/endian.h"
	local host="libfs/libfs.h libfs/host.h libfs/ioctl.h"

	case $1 in
	udf) echo "udf/udf.h udf/abi.h udf/xn_udf.h udf/xn_template.h" ;;
	xn) echo "udf/udf.h udf/abi.h $xn $disk xn/format.h xn/log_format.h" ;;
	libfs) echo "$xn xn/bdev.h $host libfs/check.h libfs/anatomy.h" ;;
	libfs/xnfs) echo "$host libfs/walk.h xnfs/xnfs.h" ;;
	libfs/*) echo "$xn libfs/libfs.h" ;;
	fuse-bridge) echo "$host" ;;
	fsck) echo "udf/udf.h udf/abi.h $disk xn/format.h xn/log_format.h libfs/check.h fsck/fsck.h" ;;
	images) echo "udf/udf.h udf/abi.h $xn $disk xn/format.h xn/log_format.h $host libfs/walk.h libfs/check.h libfs/anatomy.h" ;;
	esac
}

public_headers="udf/udf.h udf/abi.h xn/xn.h xn/error.h xn/endian.h xn/bdev.h xn/format.h xn/log_format.h
libfs/libfs.h libfs/host.h libfs/ioctl.h libfs/walk.h libfs/check.h libfs/anatomy.h xnfs/xnfs.h fsck/fsck.h"

header_is_allowed() { # file header
	local component
	component=$(component_of "$1")
	case $1:$2 in
	libfs/*/check*.[ch]:libfs/check.h | libfs/*/mend.c:libfs/check.h) return 0 ;;
	libfs/*/anatomy*:libfs/anatomy.h) return 0 ;;
	*/types/*:udf/xn_udf.h) return 0 ;;
	esac
	case " $(headers_allowed "$component") " in
	*" $2 "*) return 0 ;;
	esac
	return 1
}
