# SPDX-License-Identifier: MIT
#
# CPack gives a package with a shared library scripts that call ldconfig, and cannot be told not
# to.  Debian has a trigger for that, and a package without scripts can be installed into any root.
foreach(package IN LISTS CPACK_PACKAGE_FILES)
	if(NOT package MATCHES "/libxnfs0_[^/]*\\.deb$")
		continue()
	endif()
	set(folder ${package}.d)
	execute_process(COMMAND dpkg-deb -R ${package} ${folder} COMMAND_ERROR_IS_FATAL ANY)
	file(REMOVE ${folder}/DEBIAN/postinst ${folder}/DEBIAN/postrm)
	execute_process(COMMAND dpkg-deb --root-owner-group -b ${folder} ${package}
		COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
	file(REMOVE_RECURSE ${folder})
endforeach()
