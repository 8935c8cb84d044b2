/* SPDX-License-Identifier: MIT */
/*
 * The files of page/, as they are: made into C by embed.cmake.
 */
#ifndef IMAGES_EMBEDDED_H
#define IMAGES_EMBEDDED_H

extern const char embedded_map_css[], embedded_map_js[], embedded_map_html[];

#endif
