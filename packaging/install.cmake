# SPDX-License-Identifier: MIT
#
# What is installed besides programs: manual pages, completion, other names.
#
# Everything belongs to one of the components tools, bridge, libs, dev and doc, which are the
# packages; who says nothing is in `tools`.
include(GNUInstallDirs)
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME tools)
find_program(SCDOC scdoc)
set(XN_PACKAGING ${CMAKE_CURRENT_LIST_DIR})

# Nobody packs what sanitizers are in, and a build should not depend on how programs fare in them.
if(XN_SANITIZE OR XN_FUZZ OR XN_COVERAGE)
	set(XN_PACKAGING_OFF ON)
endif()

# xn_install_link(to folder name [COMPONENT component]): FOLDER/NAME, which points to TO.
function(xn_install_link to folder name)
	cmake_parse_arguments(PARSE_ARGV 3 arg "" "COMPONENT" "")
	cmake_path(GET folder FILENAME last)
	set(link ${CMAKE_CURRENT_BINARY_DIR}/links/${last}/${name})
	file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/links/${last})
	file(CREATE_LINK ${to} ${link} SYMBOLIC)
	if(NOT arg_COMPONENT)
		set(arg_COMPONENT tools)
	endif()
	install(FILES ${link} DESTINATION ${folder} COMPONENT ${arg_COMPONENT})
endfunction()

# xn_manual(page.N.scd [COMPONENT component] [LINKS name.N...] [MADE command words... DEPENDS files...])
# A page of the manual, also under other names.  With MADE its scdoc is what that command prints.
function(xn_manual source)
	cmake_parse_arguments(PARSE_ARGV 1 arg "" "COMPONENT" "LINKS;MADE;DEPENDS")
	if(NOT SCDOC OR XN_PACKAGING_OFF)
		return()
	endif()
	if(NOT arg_COMPONENT)
		set(arg_COMPONENT tools)
	endif()
	string(REGEX REPLACE "\\.scd$" "" name ${source})
	string(REGEX MATCH "[0-9]$" section ${name})
	set(made ${CMAKE_CURRENT_SOURCE_DIR}/${source})
	set(page ${CMAKE_CURRENT_BINARY_DIR}/man/${name})
	if(arg_MADE)
		set(made ${CMAKE_CURRENT_BINARY_DIR}/man/${source})
		add_custom_command(OUTPUT ${made}
			COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_CURRENT_BINARY_DIR}/man
			COMMAND sh -c "out=$1 && shift && \"$@\" > \"$out\"" sh ${made} ${arg_MADE}
			DEPENDS ${arg_DEPENDS} VERBATIM)
	endif()
	add_custom_command(OUTPUT ${page}.gz
		COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_CURRENT_BINARY_DIR}/man
		COMMAND sh -c "\"$1\" < \"$2\" > \"$3\" && gzip -9nc \"$3\" > \"$3.gz\"" sh ${SCDOC} ${made} ${page}
		DEPENDS ${made} VERBATIM)
	string(MAKE_C_IDENTIFIER manual_${name} target)
	add_custom_target(${target} ALL DEPENDS ${page}.gz)
	install(FILES ${page}.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section} COMPONENT ${arg_COMPONENT})
	foreach(link IN LISTS arg_LINKS)
		xn_install_link(${name}.gz ${CMAKE_INSTALL_MANDIR}/man${section} ${link}.gz COMPONENT ${arg_COMPONENT})
	endforeach()
endfunction()

# xn_completion(program [TARGET target] [COMPONENT component] [LINKS name...])
# For bash, from what --help says; TARGET, where it is not called like the program.
function(xn_completion program)
	cmake_parse_arguments(PARSE_ARGV 1 arg "" "COMPONENT;TARGET" "LINKS")
	if(XN_PACKAGING_OFF)
		return()
	endif()
	if(NOT arg_TARGET)
		set(arg_TARGET ${program})
	endif()
	set(file ${CMAKE_CURRENT_BINARY_DIR}/completion/${program})
	add_custom_command(OUTPUT ${file}
		COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_CURRENT_BINARY_DIR}/completion
		COMMAND sh -c "out=$1 && shift && \"$@\" > \"$out\"" sh ${file}
			sh ${XN_PACKAGING}/completion.sh ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/${program} ${program} ${arg_LINKS}
		DEPENDS ${arg_TARGET} ${XN_PACKAGING}/completion.sh VERBATIM)
	add_custom_target(completion_${program} ALL DEPENDS ${file})
	if(NOT arg_COMPONENT)
		set(arg_COMPONENT tools)
	endif()
	install(FILES ${file} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
		COMPONENT ${arg_COMPONENT})
	foreach(link IN LISTS arg_LINKS)
		xn_install_link(${program} ${CMAKE_INSTALL_DATADIR}/bash-completion/completions ${link}
			COMPONENT ${arg_COMPONENT})
	endforeach()
endfunction()
