/* SPDX-License-Identifier: MIT */
#include "udf/udf.h"

const char *udf_function_name(enum udf_function fn)
{
	static const char *const names[UDF_FN_COUNT] = { "owns", "refcnt", "size", "acl", "check" };

	return (unsigned)fn < UDF_FN_COUNT ? names[fn] : "?";
}

const char *udf_error_name(int error)
{
	switch (error) {
	case UDF_OK: return "UDF_OK";
#define X(name, text) \
	case name: return #name;
		UDF_ERRORS(X)
#undef X
	default: return "UDF_?";
	}
}

const char *udf_error_text(int error)
{
	switch (error) {
	case UDF_OK: return "no error";
#define X(name, text) \
	case name: return text;
		UDF_ERRORS(X)
#undef X
	default: return "unknown error of the UDF machine";
	}
}

const char *udf_fault_name(enum udf_fault_code code)
{
	switch (code) {
	case UDF_FAULT_NONE: return "NONE";
#define X(name, text) \
	case UDF_FAULT_##name: return #name;
		UDF_FAULTS(X)
#undef X
	default: return "?";
	}
}

const char *udf_fault_text(enum udf_fault_code code)
{
	switch (code) {
	case UDF_FAULT_NONE: return "no fault";
#define X(name, text) \
	case UDF_FAULT_##name: return text;
		UDF_FAULTS(X)
#undef X
	default: return "unknown fault";
	}
}
