# SPDX-License-Identifier: MIT
foreach(unit error bdev memory model overlay recorder fault file loop)
	xn_test(unit_${unit} SOURCES ${unit}_test.c LIBS xn_bdev LABELS unit)
	target_include_directories(unit_${unit} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support)
endforeach()
set_tests_properties(unit_bdev unit_memory unit_file PROPERTIES LABELS "unit;threads")
set_tests_properties(unit_loop PROPERTIES RESOURCE_LOCK loop)

# The file device is made to meet a host that is slow, or fails.
target_link_options(unit_file PRIVATE
	-Wl,--wrap=preadv64 -Wl,--wrap=pwritev64v2 -Wl,--wrap=fdatasync -Wl,--wrap=fallocate64
	-Wl,--wrap=io_uring_queue_init)
if(URING_FOUND)
	target_link_libraries(unit_file PRIVATE PkgConfig::URING)
	target_compile_definitions(unit_file PRIVATE XN_URING)
endif()
