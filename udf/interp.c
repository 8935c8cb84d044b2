/* SPDX-License-Identifier: MIT */
#include <endian.h>
#include <string.h>

#include "interp.h"

#define STACK_BYTES (UDF_STACK_FRAME * UDF_STACK_FRAMES)
#define STACK_TOP   (UDF_ADDR_STACK + STACK_BYTES)

#define WINDOW_SHIFT 26
#define WINDOW_MASK  ((1u << WINDOW_SHIFT) - 1)
#define WINDOWS      17u

/* Guest addresses are dealt out in windows of 64 MiB; each holds one region or none. */
static const uint8_t window_region[WINDOWS] = {
	[UDF_ADDR_META >> WINDOW_SHIFT] = UDF_REGION_META,
	[UDF_ADDR_HDR >> WINDOW_SHIFT] = UDF_REGION_HDR,
	[UDF_ADDR_NEW >> WINDOW_SHIFT] = UDF_REGION_NEW,
	[UDF_ADDR_OWNER >> WINDOW_SHIFT] = UDF_REGION_OWNER,
	[UDF_ADDR_RODATA >> WINDOW_SHIFT] = UDF_REGION_RODATA,
	[UDF_ADDR_STACK >> WINDOW_SHIFT] = UDF_REGION_STACK,
	[UDF_ADDR_ARGS >> WINDOW_SHIFT] = UDF_REGION_ARGS,
};

struct frame {
	const struct udf_insn *back;
	uint64_t saved[4]; /* r6 to r9 */
};

struct machine {
	struct udf_run *run;
	uint32_t zeroed_from; /* stack bytes from here up hold what the guest sees */
	uint32_t depth;
	uint8_t *top; /* of the present frame: where r10 points; its frame is zeroed if it spills */
	struct frame frame[UDF_STACK_FRAMES - 1];
	/* What may be read without further ado; all else has length 0 here: see load_at(). */
	struct udf_region plain[UDF_REGION_COUNT];
	uint64_t reg[UDF_REG_COUNT];
	uint8_t stack[STACK_BYTES];
};

static enum udf_fault_code fault(struct machine *m, enum udf_fault_code code, uint64_t value)
{
	m->run->fault.code = code;
	m->run->fault.value = value;
	return code;
}

static uint8_t *stack_at(struct machine *m, uint32_t offset)
{
	if (offset < m->zeroed_from) {
		uint32_t from = offset & ~(UDF_STACK_FRAME - 1);

		memset(m->stack + from, 0, m->zeroed_from - from);
		m->zeroed_from = from;
	}
	return m->stack + offset;
}

/*
 * The bytes at a guest address, or NULL unless all n of them lie in one region.
 * A region of length 0 is not there at all, not even for n = 0.
 */
static __attribute__((noinline)) const uint8_t *readable(struct machine *m, uint64_t address,
							 uint64_t n)
{
	uint64_t window = address >> WINDOW_SHIFT;
	uint64_t offset = address & WINDOW_MASK;
	const struct udf_region *region;
	unsigned id;

	if (window >= WINDOWS)
		return NULL;
	id = window_region[window];
	if (id == UDF_REGION_STACK) {
		if (n > STACK_BYTES || offset > STACK_BYTES - n)
			return NULL;
		return stack_at(m, (uint32_t)offset);
	}
	region = &m->run->region[id];
	if (!region->len || n > region->len || offset > region->len - n)
		return NULL;
	if (region->noted)
		memset(region->noted + offset, 0xff, n);
	return region->bytes + offset;
}

/* As readable(), quick for all but the stack, n > 0. */
static inline const uint8_t *load_at(struct machine *m, uint64_t address, uint64_t n)
{
	uint64_t window = address >> WINDOW_SHIFT;
	uint64_t offset = address & WINDOW_MASK;

	if (window < WINDOWS) {
		const struct udf_region *region = &m->plain[window_region[window]];

		if (offset + n <= region->len) {
			if (region->noted)
				memset(region->noted + offset, 0xff, n);
			return region->bytes + offset;
		}
	}
	return readable(m, address, n);
}

static inline uint8_t *writable(struct machine *m, uint64_t address, uint64_t n)
{
	uint64_t offset = address - UDF_ADDR_STACK;
	const struct udf_region *meta = &m->run->region[UDF_REGION_META];

	if (offset <= STACK_BYTES - n)
		return stack_at(m, (uint32_t)offset);
	offset = address - UDF_ADDR_META;
	if (meta->writable && n <= meta->len && offset <= meta->len - n)
		return meta->bytes + offset;
	return NULL;
}

/* The balance never goes below zero: what cannot be paid is not done. */
static inline bool pay(struct machine *m, uint64_t price)
{
	if (price > m->run->fuel)
		return false;
	m->run->fuel -= price;
	return true;
}

static int emit(struct machine *m)
{
	struct udf_run *run = m->run;
	uint64_t start = m->reg[1], count = m->reg[2], child = m->reg[3];
	struct udf_extent extent = { start, count, (uint32_t)child, 0 };

	if (!count || count > UDF_BLOCKS_MAX || start > UDF_BLOCKS_MAX - count)
		return fault(m, UDF_FAULT_EMIT, start);
	if (child >= run->n_child)
		return fault(m, UDF_FAULT_EMIT, child);
	if (!run->emits)
		return fault(m, UDF_FAULT_EMIT, start);
	run->emits--;
	m->reg[0] = 0;
	return udf_extents_add(run->out, extent);
}

static int crc32c(struct machine *m)
{
	uint64_t len = m->reg[2];
	const uint8_t *p = readable(m, m->reg[1], len);

	if (!p)
		return fault(m, UDF_FAULT_ARG, m->reg[1]);
	if (!pay(m, len / 8 + 1))
		return fault(m, UDF_FAULT_FUEL, 0);
	m->reg[0] = udf_crc32c((uint32_t)m->reg[3], p, len);
	return 0;
}

static int bytes_equal(struct machine *m)
{
	uint64_t len = m->reg[3];
	const uint8_t *p = readable(m, m->reg[1], len);
	const uint8_t *q = readable(m, m->reg[2], len);

	if (!p || !q)
		return fault(m, UDF_FAULT_ARG, m->reg[p ? 2 : 1]);
	if (!pay(m, len / 8 + 1))
		return fault(m, UDF_FAULT_FUEL, 0);
	m->reg[0] = len == 0 || memcmp(p, q, len) == 0;
	return 0;
}

/* The present frame, for those operations that do not look whether it is zeroed. */
static void frame_ready(struct machine *m)
{
	uint32_t from = STACK_BYTES - (m->depth + 1) * UDF_STACK_FRAME;

	if (m->run->program->spills)
		stack_at(m, from);
	m->top = m->stack + from + UDF_STACK_FRAME;
}

/* 0, a fault code, or a negative error. */
static int call_helper(struct machine *m, uint64_t number)
{
	switch (number) {
	case UDF_HELPER_EMIT: return emit(m);
	case UDF_HELPER_CRC32C: return crc32c(m);
	case UDF_HELPER_BYTES_EQUAL: return bytes_equal(m);
	case UDF_HELPER_CONFORMANCE: m->reg[0] = m->reg[1]; return 0;
	default: return fault(m, UDF_FAULT_ARG, number);
	}
}

static int call_local(struct machine *m, const struct udf_insn *insn)
{
	struct frame *frame = &m->frame[m->depth];

	if (m->depth == UDF_STACK_FRAMES - 1)
		return fault(m, UDF_FAULT_DEPTH, UDF_STACK_FRAMES);
	if (!pay(m, insn->imm))
		return fault(m, UDF_FAULT_FUEL, 0);
	frame->back = insn + 1;
	memcpy(frame->saved, &m->reg[6], sizeof(frame->saved));
	m->depth++;
	m->reg[UDF_REG_FRAME] -= UDF_STACK_FRAME;
	frame_ready(m);
	return 0;
}

static const struct udf_insn *return_local(struct machine *m)
{
	const struct frame *frame = &m->frame[--m->depth];

	memcpy(&m->reg[6], frame->saved, sizeof(frame->saved));
	m->reg[UDF_REG_FRAME] += UDF_STACK_FRAME;
	m->top += UDF_STACK_FRAME;
	return frame->back;
}

/* Division is total (RFC 9669 4.1): x / 0 = 0, x % 0 = x, MIN / -1 = MIN, MIN % -1 = 0. */
static inline uint64_t sdiv64(uint64_t a, uint64_t b)
{
	if (b == 0)
		return 0;
	return b == UINT64_MAX ? 0 - a : (uint64_t)((int64_t)a / (int64_t)b);
}

static inline uint64_t smod64(uint64_t a, uint64_t b)
{
	if (b == 0)
		return a;
	return b == UINT64_MAX ? 0 : (uint64_t)((int64_t)a % (int64_t)b);
}

static inline uint32_t sdiv32(uint32_t a, uint32_t b)
{
	if (b == 0)
		return 0;
	return b == UINT32_MAX ? 0 - a : (uint32_t)((int32_t)a / (int32_t)b);
}

static inline uint32_t smod32(uint32_t a, uint32_t b)
{
	if (b == 0)
		return a;
	return b == UINT32_MAX ? 0 : (uint32_t)((int32_t)a % (int32_t)b);
}

/*
 * One line per operation.  DST and SRC are registers, a and b the operands in
 * the operation's width; U, S are the unsigned and signed types of that width.
 */
#define DST m->reg[insn->dst]
#define SRC m->reg[insn->src]

#define COMPUTE(op, U, S, right, result)      \
	do_##op:                              \
	{                                     \
		U a = (U)DST, b = (U)(right); \
		(void)a;                      \
		DST = (U)(result);            \
		NEXT;                         \
	}
#define COMPUTE_32(op, result)                                  \
	COMPUTE(op##32_K, uint32_t, int32_t, insn->imm, result) \
	COMPUTE(op##32_X, uint32_t, int32_t, SRC, result)
#define COMPUTE_64(op, result)                                  \
	COMPUTE(op##64_K, uint64_t, int64_t, insn->imm, result) \
	COMPUTE(op##64_X, uint64_t, int64_t, SRC, result)
#define COMPUTE_BOTH(op, result) COMPUTE_32(op, result) COMPUTE_64(op, result)

#define BRANCH(op, T, right, condition)       \
	do_##op:                              \
	{                                     \
		T a = (T)DST, b = (T)(right); \
		if (condition)                \
			goto jump;            \
		NEXT;                         \
	}
#define BRANCH_BOTH(op, T32, T64, condition)        \
	BRANCH(op##32_K, T32, insn->imm, condition) \
	BRANCH(op##32_X, T32, SRC, condition)       \
	BRANCH(op##64_K, T64, insn->imm, condition) \
	BRANCH(op##64_X, T64, SRC, condition)

#define LOAD(op, U, T, to_host)                                        \
	do_##op:                                                       \
	{                                                              \
		uint64_t address = SRC + (uint64_t)(int64_t)insn->off; \
		const uint8_t *p = load_at(m, address, sizeof(U));     \
		U value;                                               \
		if (!p)                                                \
			STOP(fault(m, UDF_FAULT_MEM, address));        \
		memcpy(&value, p, sizeof(U));                          \
		DST = (uint64_t)(T)to_host(value);                     \
		NEXT;                                                  \
	}

#define STORE(op, U, from_host, right)                                 \
	do_##op:                                                       \
	{                                                              \
		uint64_t address = DST + (uint64_t)(int64_t)insn->off; \
		uint8_t *p = writable(m, address, sizeof(U));          \
		U value = from_host((U)(right));                       \
		if (!p)                                                \
			STOP(fault(m, UDF_FAULT_STORE, address));      \
		memcpy(p, &value, sizeof(U));                          \
		NEXT;                                                  \
	}

#define BYTE(x) (x)

/* Each operation jumps to the next by itself: so the processor learns what follows what. */
#define LABEL(op, opcode, variant, form, width, text) [UDF_OP_##op] = &&do_##op,
#define NEXT                        \
	do {                        \
		insn++;             \
		goto *at[insn->op]; \
	} while (0)
#define STOP(result)             \
	do {                     \
		*last = insn;    \
		return (result); \
	} while (0)

/*
 * Run from `insn` to the end; *last is the instruction reached.  Long, because a
 * label can only be jumped to from its own function.
 */
/* NOLINTNEXTLINE(readability-function-size) */
static int execute(struct machine *m, const struct udf_insn *insn, const struct udf_insn **last)
{
	/* cppcheck takes the address of a label for a logical and. */
	/* cppcheck-suppress assignBoolToPointer */
	static const void *const at[] = { UDF_ISA(LABEL) LABEL(RELOAD, , , , , )
						  LABEL(SPILL, , , , , ) };
	uint64_t word;
	int err;

	goto *at[insn->op];
	COMPUTE_BOTH(ADD, a + b)
	COMPUTE_BOTH(SUB, a - b)
	COMPUTE_BOTH(MUL, a * b)
	COMPUTE_BOTH(OR, a | b)
	COMPUTE_BOTH(AND, a & b)
	COMPUTE_BOTH(XOR, a ^ b)
	COMPUTE_BOTH(MOV, b)
	COMPUTE_BOTH(DIV, b ? a / b : 0)
	COMPUTE_BOTH(MOD, b ? a % b : a)
	COMPUTE_32(SDIV, sdiv32(a, b))
	COMPUTE_64(SDIV, sdiv64(a, b))
	COMPUTE_32(SMOD, smod32(a, b))
	COMPUTE_64(SMOD, smod64(a, b))
	COMPUTE_32(LSH, a << (b & 31))
	COMPUTE_64(LSH, a << (b & 63))
	COMPUTE_32(RSH, a >> (b & 31))
	COMPUTE_64(RSH, a >> (b & 63))
	COMPUTE_32(ARSH, (int32_t)a >> (b & 31))
	COMPUTE_64(ARSH, (int64_t)a >> (b & 63))
do_MOVSX32_8:
	DST = (uint32_t)(int8_t)SRC;
	NEXT;
do_MOVSX32_16:
	DST = (uint32_t)(int16_t)SRC;
	NEXT;
do_MOVSX64_8:
	DST = (uint64_t)(int8_t)SRC;
	NEXT;
do_MOVSX64_16:
	DST = (uint64_t)(int16_t)SRC;
	NEXT;
do_MOVSX64_32:
	DST = (uint64_t)(int32_t)SRC;
	NEXT;
do_NEG32:
	DST = 0u - (uint32_t)DST;
	NEXT;
do_NEG64:
	DST = 0ull - DST;
	NEXT;
do_LE16:
	DST = (uint16_t)DST;
	NEXT;
do_LE32:
	DST = (uint32_t)DST;
	NEXT;
do_LE64:
	NEXT;
do_BE16:
do_SWAP16:
	DST = __builtin_bswap16((uint16_t)DST);
	NEXT;
do_BE32:
do_SWAP32:
	DST = __builtin_bswap32((uint32_t)DST);
	NEXT;
do_BE64:
do_SWAP64:
	DST = __builtin_bswap64(DST);
	NEXT;

do_LDDW:
	DST = insn->imm;
	insn++;
	NEXT;
	LOAD(LDX8, uint8_t, uint8_t, BYTE)
	LOAD(LDX16, uint16_t, uint16_t, le16toh)
	LOAD(LDX32, uint32_t, uint32_t, le32toh)
	LOAD(LDX64, uint64_t, uint64_t, le64toh)
	LOAD(LDSX8, uint8_t, int8_t, BYTE)
	LOAD(LDSX16, uint16_t, int16_t, le16toh)
	LOAD(LDSX32, uint32_t, int32_t, le32toh)
	STORE(ST8, uint8_t, BYTE, insn->imm)
	STORE(ST16, uint16_t, htole16, insn->imm)
	STORE(ST32, uint32_t, htole32, insn->imm)
	STORE(ST64, uint64_t, htole64, insn->imm)
	STORE(STX8, uint8_t, BYTE, SRC)
	STORE(STX16, uint16_t, htole16, SRC)
	STORE(STX32, uint32_t, htole32, SRC)
	STORE(STX64, uint64_t, htole64, SRC)

do_RELOAD:
	memcpy(&word, m->top + insn->off, sizeof(word));
	DST = le64toh(word);
	NEXT;
do_SPILL:
	word = htole64(SRC);
	memcpy(m->top + insn->off, &word, sizeof(word));
	NEXT;

	BRANCH_BOTH(JEQ, uint32_t, uint64_t, a == b)
	BRANCH_BOTH(JNE, uint32_t, uint64_t, a != b)
	BRANCH_BOTH(JGT, uint32_t, uint64_t, a > b)
	BRANCH_BOTH(JGE, uint32_t, uint64_t, a >= b)
	BRANCH_BOTH(JLT, uint32_t, uint64_t, a < b)
	BRANCH_BOTH(JLE, uint32_t, uint64_t, a <= b)
	BRANCH_BOTH(JSET, uint32_t, uint64_t, a & b)
	BRANCH_BOTH(JSGT, int32_t, int64_t, a > b)
	BRANCH_BOTH(JSGE, int32_t, int64_t, a >= b)
	BRANCH_BOTH(JSLT, int32_t, int64_t, a < b)
	BRANCH_BOTH(JSLE, int32_t, int64_t, a <= b)
do_JA:
do_GOTOL:
jump:
	if (insn->off < 0 && !pay(m, (uint64_t) - (int64_t)insn->off))
		STOP(fault(m, UDF_FAULT_FUEL, 0));
	insn += insn->off;
	NEXT;
do_CALL:
	err = call_helper(m, insn->imm);
	if (err)
		STOP(err);
	NEXT;
do_LOCAL:
	err = call_local(m, insn);
	if (err)
		STOP(err);
	insn += insn->off;
	NEXT;
do_EXIT:
	if (m->depth == 0)
		STOP(0);
	insn = return_local(m) - 1;
	NEXT;
}

/* The stack is zeroed on the way: it takes the long one. */
static void regions_init(struct machine *m, const struct udf_run *run)
{
	memcpy(m->plain, run->region, sizeof(run->region));
	m->plain[UDF_REGION_NONE].len = 0;
	m->plain[UDF_REGION_STACK].len = 0;
}

int udf_interp(struct udf_run *run)
{
	const struct udf_insn *last;
	struct machine m;
	int err;

	m.run = run;
	m.zeroed_from = STACK_BYTES;
	m.depth = 0;
	memset(m.reg, 0, sizeof(m.reg));
	memcpy(&m.reg[1], run->arg, sizeof(run->arg));
	m.reg[UDF_REG_FRAME] = STACK_TOP;
	regions_init(&m, run);
	frame_ready(&m);
	run->fault.code = UDF_FAULT_NONE;

	err = execute(&m, run->program->insn, &last);
	run->fault.slot = (uint32_t)(last - run->program->insn);
	run->result = m.reg[0];
	return err > 0 ? UDF_EFAULT : err;
}
