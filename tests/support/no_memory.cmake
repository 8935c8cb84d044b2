# SPDX-License-Identifier: MIT
#
# xn_no_memory(program): in it, allocations can be made to fail (no_memory.h).
function(xn_no_memory program)
	target_sources(${program} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/no_memory.c)
	target_include_directories(${program} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support)
	foreach(name malloc calloc realloc bdev_read bdev_write bdev_flush bdev_queue_create bdev_submit
			bdev_wait bdev_recorder_mark)
		target_link_options(${program} PRIVATE -Wl,--wrap=${name})
	endforeach()
endfunction()
