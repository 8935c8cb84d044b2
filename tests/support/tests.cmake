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

# xn_fuzzer(name SOURCES files... LIBS targets... [CORPUS folder])
# A libFuzzer harness: exists only with XN_FUZZ, and runs for a minute as a test.
function(xn_fuzzer name)
	if(NOT XN_FUZZ)
		return()
	endif()
	cmake_parse_arguments(F "" "CORPUS" "SOURCES;LIBS" ${ARGN})
	add_executable(${name} ${F_SOURCES})
	set_target_properties(${name} PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/test-bin)
	target_link_libraries(${name} PRIVATE ${F_LIBS})
	target_link_options(${name} PRIVATE -fsanitize=fuzzer)
	add_test(NAME ${name} COMMAND ${name} -max_total_time=60 -rss_limit_mb=1024 ${F_CORPUS})
	set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT 180)
endfunction()
