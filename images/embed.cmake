# SPDX-License-Identifier: MIT
#
# Text files as strings of C: cmake -D OUT=file.c -D FOLDER=... -D NAMES=a.html,b.js -P embed.cmake
# page.js becomes `const char embedded_page_js[]`.
string(REPLACE "," ";" names "${NAMES}")
set(text "/* Made by embed.cmake. */\n#include \"embedded.h\"\n\n")
foreach(name IN LISTS names)
	file(READ ${FOLDER}/${name} hex HEX)
	string(MAKE_C_IDENTIFIER "${name}" identifier)
	string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
	string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
	string(APPEND text "const char embedded_${identifier}[] = {\n${hex}0x00\n};\n\n")
endforeach()
file(WRITE ${OUT} "${text}")
