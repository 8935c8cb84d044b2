# SPDX-License-Identifier: MIT
#
# How a test is declared.  Exit code 77 means "skipped"; the reason is the
# line that begins with "SKIP:".

# xn_test(name SOURCES files... LIBS targets... [LABELS labels...] [TIMEOUT seconds]
#         [ARGS arguments...] [LOCK resource] [SERIAL])
# A cmocka program and the ctest of the same name.
function(xn_test name)
	cmake_parse_arguments(T "SERIAL" "TIMEOUT;LOCK" "SOURCES;LIBS;LABELS;ARGS" ${ARGN})
	add_executable(${name} ${T_SOURCES})
	set_target_properties(${name} PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/test-bin)
	target_link_libraries(${name} PRIVATE ${T_LIBS} PkgConfig::CMOCKA Threads::Threads)
	add_test(NAME ${name} COMMAND ${name} ${T_ARGS})
	xn_test_properties(${name} LABELS ${T_LABELS} TIMEOUT ${T_TIMEOUT} LOCK ${T_LOCK})
	if(T_SERIAL)
		set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
	endif()
endfunction()

# xn_script_test(name COMMAND words... [LABELS labels...] [TIMEOUT seconds] [LOCK resource])
# A script as a test.  It sees XN_SOURCE, XN_BUILD and XN_BIN in its environment.
function(xn_script_test name)
	cmake_parse_arguments(T "" "TIMEOUT;LOCK" "COMMAND;LABELS" ${ARGN})
	add_test(NAME ${name} COMMAND ${T_COMMAND})
	set_tests_properties(${name} PROPERTIES ENVIRONMENT
		"XN_SOURCE=${PROJECT_SOURCE_DIR};XN_BUILD=${PROJECT_BINARY_DIR};XN_BIN=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
	xn_test_properties(${name} LABELS ${T_LABELS} TIMEOUT ${T_TIMEOUT} LOCK ${T_LOCK})
endfunction()

function(xn_test_properties name)
	cmake_parse_arguments(T "" "TIMEOUT;LOCK" "LABELS" ${ARGN})
	if(NOT T_TIMEOUT)
		set(T_TIMEOUT 120)
	endif()
	set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${T_TIMEOUT})
	if(T_LABELS)
		set_tests_properties(${name} PROPERTIES LABELS "${T_LABELS}")
	endif()
	if(T_LOCK)
		set_tests_properties(${name} PROPERTIES RESOURCE_LOCK ${T_LOCK})
	endif()
endfunction()

# xn_fuzzer(name SOURCES files... LIBS targets... [CORPUS folder] [COUNT n])
# A libFuzzer harness.  With XN_FUZZ it runs for a minute as a test (XN_FUZZ_SECONDS at configure time:
# longer); in other builds a driver of our own runs the inputs in CORPUS, and COUNT changed ones.
set(XN_FUZZ_SECONDS 60 CACHE STRING "how long each fuzzer runs as a test")
function(xn_fuzzer name)
	cmake_parse_arguments(F "" "CORPUS;COUNT" "SOURCES;LIBS" ${ARGN})
	if(NOT XN_FUZZ AND NOT F_CORPUS)
		return()
	endif()
	add_executable(${name} ${F_SOURCES})
	set_target_properties(${name} PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/test-bin)
	target_link_libraries(${name} PRIVATE ${F_LIBS})
	if(XN_FUZZ)
		# New inputs go to the build's folder, the first one named.
		set(found ${CMAKE_CURRENT_BINARY_DIR}/found_${name})
		file(MAKE_DIRECTORY ${found})
		target_link_options(${name} PRIVATE -fsanitize=fuzzer)
		add_test(NAME ${name} COMMAND ${name} -max_total_time=${XN_FUZZ_SECONDS} -rss_limit_mb=1024
			${found} ${F_CORPUS})
		math(EXPR timeout "${XN_FUZZ_SECONDS} * 3")
		set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT ${timeout})
	else()
		target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/fuzz/driver.c)
		add_test(NAME ${name} COMMAND ${name} ${F_CORPUS} ${F_COUNT})
		set_tests_properties(${name} PROPERTIES LABELS "fuzz;unit" TIMEOUT 300)
	endif()
endfunction()
