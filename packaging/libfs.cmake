# SPDX-License-Identifier: MIT
#
# What somebody needs who writes a LibFS elsewhere: headers, CMake package, pkg-config, an
# example to begin with, tests.
include(CMakePackageConfigHelpers)

set(XN_LIBFS_DIR lib/xn) # as libfs/CMakeLists.txt tells libfs/registry.c
configure_package_config_file(xn-libfs-config.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/xn-libfs-config.cmake
	INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/xn-libfs
	PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_BINDIR XN_LIBFS_DIR)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/xn-libfs-config-version.cmake
	COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/xn-libfs-config.cmake
	${CMAKE_CURRENT_BINARY_DIR}/xn-libfs-config-version.cmake
	DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/xn-libfs COMPONENT dev)
install(FILES ${PROJECT_SOURCE_DIR}/udf/template.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/xn-libfs
	RENAME xn-template.cmake COMPONENT dev)
configure_file(xn-libfs.pc.in ${CMAKE_CURRENT_BINARY_DIR}/xn-libfs.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/xn-libfs.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)

install(FILES ${PROJECT_SOURCE_DIR}/udf/include/udf/xn_udf.h ${PROJECT_SOURCE_DIR}/udf/include/udf/xn_template.h
	${PROJECT_SOURCE_DIR}/udf/include/udf/abi.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/udf COMPONENT dev)
install(FILES ${PROJECT_SOURCE_DIR}/xn/include/xn/xn.h ${PROJECT_SOURCE_DIR}/xn/include/xn/error.h
	${PROJECT_SOURCE_DIR}/xn/include/xn/endian.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/xn COMPONENT dev)
install(FILES ${PROJECT_SOURCE_DIR}/libfs/include/libfs/libfs.h
	DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/libfs COMPONENT dev)
set(example ${PROJECT_SOURCE_DIR}/libfs/example)
install(FILES ${example}/CMakeLists.txt ${example}/README.md ${example}/notefs.c ${example}/notefs.h
	DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libxnfs-dev/examples/notefs COMPONENT dev)
install(FILES ${example}/types/notefs.bpf.c
	DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libxnfs-dev/examples/notefs/types COMPONENT dev)

xn_manual(xn-libfs.7.scd COMPONENT dev)
