/* SPDX-License-Identifier: MIT */
/*
 * xn-udf-vm [MEM] [--interp|--jit]: run one raw program, for conformance suites.
 *
 * The program comes on standard input as hexadecimal bytes, MEM likewise as an
 * argument; spaces may separate bytes.  MEM is mapped as META, writable here and
 * nowhere else; r1 is its address (0 without MEM), r2 its length.  Helper 5, here
 * and nowhere else, returns its first argument.  Prints r0 in hexadecimal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interp.h"

#define PROGRAM_BYTES (UDF_SLOTS_MAX * UDF_SLOT_BYTES)

static int fail(const char *what, const char *detail)
{
	fprintf(stderr, "xn-udf-vm: %s%s%s\n", what, detail[0] ? ": " : "", detail);
	return 1;
}

static int digit_of(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int is_space(int c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Bytes decoded, or -1: not hexadecimal, half a byte, or more than max. */
static long decode_hex(const char *text, size_t len, uint8_t *out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < len;) {
		int high, low;

		if (is_space(text[i])) {
			i++;
			continue;
		}
		high = digit_of(text[i]);
		low = i + 1 < len ? digit_of(text[i + 1]) : -1;
		if (high < 0 || low < 0 || n == max)
			return -1;
		out[n++] = (uint8_t)(high << 4 | low);
		i += 2;
	}
	return (long)n;
}

static long read_program(uint8_t *out)
{
	static const size_t max = 4 * PROGRAM_BYTES;
	char *text = malloc(max);
	size_t len = text ? fread(text, 1, max, stdin) : 0;
	long n = text && len < max ? decode_hex(text, len, out, PROGRAM_BYTES) : -1;

	free(text);
	return n;
}

static int run(const uint8_t *code, long code_len, uint8_t *mem, long mem_len)
{
	uint32_t helpers = UDF_HELPER_BIT(UDF_HELPER_CONFORMANCE) | udf_helpers_of(UDF_FN_CHECK);
	struct udf_run machine = { .fuel = UDF_FUEL_MAX };
	struct udf_program *program;
	struct udf_refusal why;
	char text[160];
	int err;

	if (udf_program_create(code, (size_t)code_len, helpers, &program, &why))
		return fail("program refused", why.text);
	machine.program = program;
	machine.region[UDF_REGION_META] = (struct udf_region){ mem, (uint32_t)mem_len, true, NULL };
	machine.arg[0] = mem_len ? UDF_ADDR_META : 0;
	machine.arg[1] = (uint64_t)mem_len;
	err = udf_interp(&machine);
	udf_program_destroy(program);
	if (err) {
		snprintf(text, sizeof(text), "%s at slot %u (value 0x%llx)",
			 udf_fault_text(machine.fault.code), machine.fault.slot,
			 (unsigned long long)machine.fault.value);
		return fail(udf_error_text(err), text);
	}
	printf("%llx\n", (unsigned long long)machine.result);
	return fflush(stdout) ? fail("cannot write", "") : 0;
}

static int run_hex(const char *mem_hex)
{
	uint8_t *code = malloc(PROGRAM_BYTES), *mem = malloc(UDF_OBJECT_MAX);
	long code_len, mem_len;
	int status;

	if (!code || !mem) {
		status = fail("out of memory", "");
		goto out;
	}
	mem_len = decode_hex(mem_hex, strlen(mem_hex), mem, UDF_OBJECT_MAX);
	code_len = read_program(code);
	if (mem_len < 0)
		status = fail("MEM is not up to 65536 bytes in hexadecimal", mem_hex);
	else if (code_len < 0)
		status = fail("the program is not up to 32768 bytes in hexadecimal", "");
	else
		status = run(code, code_len, mem, mem_len);
out:
	free(code);
	free(mem);
	return status;
}

int main(int argc, char **argv)
{
	const char *mem = NULL;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			puts("usage: xn-udf-vm [MEM] [--interp|--jit] < PROGRAM\n"
			     "MEM and PROGRAM are bytes in hexadecimal; prints r0 in hexadecimal.");
			return 0;
		}
		if (strcmp(argv[i], "--jit") == 0)
			return fail("--jit is not available in this build", "");
		if (strcmp(argv[i], "--interp") == 0)
			continue;
		if (mem || strncmp(argv[i], "--", 2) == 0)
			return fail("unexpected argument", argv[i]);
		mem = argv[i];
	}
	return run_hex(mem ? mem : "");
}
