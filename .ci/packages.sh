# SPDX-License-Identifier: MIT
#
# Debian packages, for check.sh and demo.sh to source.
# shellcheck shell=bash disable=SC2034

# liburing-dev: files and block devices without a thread for each request in flight; left out,
# threads do it.
packages_build="gcc libc6-dev cmake ninja-build pkg-config clang llvm libfuse3-dev fuse3 libelf-dev
libjansson-dev libblkid-dev uuid-dev libarchive-dev libext2fs-dev libedit-dev nettle-dev liburing-dev zlib1g-dev
libcmocka-dev scdoc"

packages_test="$packages_build g++ git clang-tidy clang-format cppcheck libclang-rt-dev e2fsprogs
util-linux mount procps jq bc patch python3 python3-jsonschema gcc-bpf libxml2-utils chromium chromium-driver attr acl
lintian dpkg-dev file groff-base man-db sqlite3 rsync fio stress-ng"

# Install what is missing of "$@"; with install=no only say what it is.
packages_need() {
	local missing=() package root=()

	command -v dpkg-query >/dev/null || {
		echo "not a Debian system; these packages or their like are needed: $*"
		return 0
	}
	for package; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
			missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "${install-yes}" = no ]; then
		echo "missing packages, not installed as you asked: ${missing[*]}"
		return 0
	fi
	echo "installing: ${missing[*]}"
	[ "$(id -u)" = 0 ] || root=(sudo)
	"${root[@]}" apt-get update -qq &&
		"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
			--no-install-recommends "${missing[@]}" >/dev/null
}
