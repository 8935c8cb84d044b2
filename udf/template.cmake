# SPDX-License-Identifier: MIT
#
# Compile templates from C and embed them.
#
#	xn_add_template(NAME source.bpf.c ... [INCLUDES dir ...] [ORDER template ...])
#
# makes, from all templates that the sources define,
#
#	${CMAKE_CURRENT_BINARY_DIR}/NAME/TEMPLATE.tmpl		one image per template
#	${CMAKE_CURRENT_BINARY_DIR}/NAME/NAME.{c,h}		all of them as C, in batch order:
#		extern const unsigned char TEMPLATE_tmpl[];
#		extern const size_t TEMPLATE_tmpl_len;
#		enum { NAME_TEMPLATE = 0, ..., NAME_count };
#		extern const unsigned char *const NAME_image[NAME_count];
#		extern const size_t NAME_image_len[NAME_count];
#		extern const char *const NAME_name[NAME_count];
#
# If a target NAME exists, NAME.c becomes one of its sources and NAME.h can be
# included by it; else NAME becomes a static library that gives NAME.h to whoever
# links it.  Include with  #include "NAME.h".
#
# INCLUDES are further include folders (the source's own and udf's are there).

# Where it is installed, whoever includes it has set this.
if(NOT XN_UDF_INCLUDE_DIR)
	set(XN_UDF_INCLUDE_DIR ${CMAKE_CURRENT_LIST_DIR}/include CACHE INTERNAL "for BPF sources")
endif()

# Any clang that can make BPF; 14 is what the compilers' behaviour was measured with.
function(xn_find_bpf_clang)
	if(XN_BPF_CLANG)
		return()
	endif()
	foreach(version -14 -15 -16 -17 -18 -19 -20 -21 -22 "")
		find_program(XN_BPF_CLANG_TRY${version} clang${version})
		mark_as_advanced(XN_BPF_CLANG_TRY${version})
		if(XN_BPF_CLANG_TRY${version})
			execute_process(COMMAND ${XN_BPF_CLANG_TRY${version}} --print-targets
				OUTPUT_VARIABLE targets ERROR_QUIET)
			if(targets MATCHES "bpf")
				set(XN_BPF_CLANG ${XN_BPF_CLANG_TRY${version}} CACHE FILEPATH
					"clang with a BPF target")
				return()
			endif()
		endif()
	endforeach()
	message(FATAL_ERROR "no clang with a BPF target found (tried clang-14 to clang-22, clang)")
endfunction()

function(xn_add_template name)
	cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "INCLUDES;ORDER")
	xn_find_bpf_clang()
	set(out ${CMAKE_CURRENT_BINARY_DIR}/${name})
	file(MAKE_DIRECTORY ${out})
	set(includes -I${XN_UDF_INCLUDE_DIR})
	foreach(dir ${arg_INCLUDES})
		get_filename_component(dir ${dir} ABSOLUTE)
		list(APPEND includes -I${dir})
	endforeach()

	set(objects)
	foreach(source ${arg_UNPARSED_ARGUMENTS})
		get_filename_component(source ${source} ABSOLUTE)
		get_filename_component(base ${source} NAME_WLE)
		set(object ${out}/${base}.o)
		add_custom_command(OUTPUT ${object}
			COMMAND ${XN_BPF_CLANG} -O2 -target bpf -mcpu=v3 -fno-builtin -Wall -Werror
				-g -std=gnu11 ${includes} -MD -MF ${object}.d -MT ${object}
				-c ${source} -o ${object}
			DEPENDS ${source}
			DEPFILE ${object}.d
			COMMENT "Compiling template ${base}"
			VERBATIM)
		list(APPEND objects ${object})
	endforeach()

	set(order)
	if(arg_ORDER)
		list(JOIN arg_ORDER "," order)
		set(order --order ${order})
	endif()
	add_custom_command(OUTPUT ${out}/${name}.c ${out}/${name}.h
		COMMAND xn-tmpl build ${objects} -o ${out}/ --c ${out}/${name}.c ${order}
		DEPENDS ${objects} xn-tmpl
		COMMENT "Linking templates of ${name}"
		VERBATIM)
	if(TARGET ${name})
		target_sources(${name} PRIVATE ${out}/${name}.c ${out}/${name}.h)
		target_include_directories(${name} PRIVATE ${out})
	else()
		add_library(${name} STATIC ${out}/${name}.c ${out}/${name}.h)
		target_include_directories(${name} PUBLIC ${out})
		set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
	endif()
endfunction()
