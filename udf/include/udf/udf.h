/* SPDX-License-Identifier: MIT */
/*
 * The UDF machine: loads template images and runs their untrusted
 * deterministic functions.
 *
 * A template describes one type of metadata object.  Its functions are eBPF
 * programs (RFC 9669, the subset of DESIGN.md "The UDF machine") that are safe
 * by construction, not by proof: every load and store is checked against a
 * fixed address map, registers and stack start as zeroes, fuel is exact.  The
 * same bytes give the same result, or the same fault at the same slot, on every
 * machine and every engine.
 *
 *  (1) A loaded template never changes and keeps no state between runs; any
 *      number of threads may run it at once.
 *  (2) No function of this header trusts an image, a program or an object's
 *      bytes: whatever they hold, the outcome is a result or a named refusal.
 *  (3) A run that fails has no effect: what it emitted is taken back.
 *  (4) Nothing here does I/O, reads a clock, or keeps global state.
 *
 * Functions return 0 (or a stated non-negative value), or a negative UDF_E*.
 */
#ifndef UDF_UDF_H
#define UDF_UDF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "udf/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- limits of ABI major 1 (never lowered for an installed template) ---- */

#define UDF_SLOTS_MAX    4096u
#define UDF_IMAGE_MAX    65536u
#define UDF_RODATA_MAX   16384u
#define UDF_OBJECT_MIN   512u
#define UDF_OBJECT_MAX   65536u
#define UDF_RECORDS_MAX  8192u
#define UDF_EMIT_MAX     4096u
#define UDF_CHILDREN_MAX 64u
#define UDF_NAME_MAX     63u
#define UDF_BATCH_MAX    65536u     /* templates of one install */
#define UDF_ACL_ARGS_MAX (1u << 24) /* bytes */
#define UDF_FUEL_DEFAULT (1u << 18)
#define UDF_FUEL_MAX     (1u << 20)
#define UDF_OP_FUEL_MAX  (1ull << 22) /* one update, bind or install, all its runs together */
#define UDF_OP_EMITS_MAX (1ull << 16)

enum udf_function {
	UDF_FN_OWNS = 0,
	UDF_FN_REFCNT = 1,
	UDF_FN_SIZE = 2,
	UDF_FN_ACL = 3,
	UDF_FN_CHECK = 4,
	UDF_FN_COUNT = 5,
};

const char *udf_function_name(enum udf_function fn);

/* ---- errors and faults ---- */

#define UDF_ERRORS(X)                                          \
	X(UDF_EIMAGE, "template image is malformed")           \
	X(UDF_EPROGRAM, "program is refused by the validator") \
	X(UDF_EFAULT, "function faulted")                      \
	X(UDF_EABSENT, "template has no such function")        \
	X(UDF_EINVAL, "argument is out of range")              \
	X(UDF_ENOMEM, "out of memory")                         \
	X(UDF_EOVERLAP, "extents of one object overlap")       \
	X(UDF_ERANGE, "extent lies outside the disk or is empty")

enum udf_error {
	UDF_OK = 0,
	UDF_EIMAGE = -1101,
	UDF_EPROGRAM = -1102,
	UDF_EFAULT = -1103,
	UDF_EABSENT = -1104,
	UDF_EINVAL = -1105,
	UDF_ENOMEM = -1106,
	UDF_EOVERLAP = -1107,
	UDF_ERANGE = -1108,
};

const char *udf_error_name(int error);
const char *udf_error_text(int error);

/* Why a run stopped.  All are equal in effect: outputs discarded, the call fails. */
#define UDF_FAULTS(X)                                                                 \
	X(MEM, "load outside every readable region")                                  \
	X(STORE, "store outside the stack")                                           \
	X(FUEL, "out of fuel")                                                        \
	X(EMIT, "bad or too many extents emitted")                                    \
	X(DEPTH, "more than 8 call frames")                                           \
	X(ARG, "helper argument outside one readable region, or result out of range") \
	X(MALFORMED, "function reports that its input is malformed")

enum udf_fault_code {
	UDF_FAULT_NONE = 0,
	UDF_FAULT_MEM,
	UDF_FAULT_STORE,
	UDF_FAULT_FUEL,
	UDF_FAULT_EMIT,
	UDF_FAULT_DEPTH,
	UDF_FAULT_ARG,
	UDF_FAULT_MALFORMED,
};

const char *udf_fault_name(enum udf_fault_code code);
const char *udf_fault_text(enum udf_fault_code code);

struct udf_fault {
	enum udf_fault_code code;
	enum udf_function function;
	uint32_t slot;   /* instruction that faulted */
	uint32_t record; /* record index, or UDF_RECORD_NONE */
	uint64_t value;  /* the address, or r0 for MALFORMED */
};

/* Why an image or a program was refused: rule number and place, for people. */
struct udf_refusal {
	int error;                  /* UDF_EIMAGE, UDF_EPROGRAM, UDF_EFAULT, ... */
	enum udf_function function; /* when a program was refused */
	uint32_t slot;
	char text[160]; /* one sentence, NUL-terminated */
};

/* ---- templates ---- */

struct udf_template; /* immutable, opaque */

/* What a template declares; pointers live as long as the template. */
struct udf_info {
	char name[UDF_NAME_MAX + 1];
	uint32_t abi_major, abi_minor;
	uint32_t flags; /* UDF_TEMPLATE_STICKY */
	uint32_t obj_size;
	uint32_t hdr_len;
	uint32_t rec_off, rec_size, rec_count;
	uint32_t max_emit;
	uint32_t fuel[UDF_FN_COUNT];
	bool has[UDF_FN_COUNT];
	uint32_t n_child;
	const uint64_t
		*child;      /* n_child entries: id, UDF_CHILD_ID_SELF or UDF_CHILD_ID_BATCH + k */
	const uint8_t *init; /* init_len bytes; the rest of the initial object is zeroes */
	uint32_t init_len;
	const uint8_t *image; /* the whole image as loaded */
	uint32_t image_len;
};

#define UDF_TEMPLATE_STICKY 1u /* records carry no permission: acl sees the ancestor's record */

/*
 * Check an image byte by byte, validate every function, run `owns` on every
 * record of the initial object (it must own nothing), and make a template of
 * it.  The image is copied; `*out` is yours to destroy.
 *
 * Fails with
 *   UDF_EIMAGE    the image's own structure is wrong
 *   UDF_EPROGRAM  a function breaks a validator rule
 *   UDF_EFAULT    `owns` faults on the initial object, or it owns something
 *   UDF_ENOMEM
 * and `why` (may be NULL) says where, in a sentence.
 */
int udf_template_load(const void *image, size_t len, struct udf_template **out,
		      struct udf_refusal *why);
void udf_template_destroy(struct udf_template *tmpl);
const struct udf_info *udf_template_info(const struct udf_template *tmpl);

/* Write the initial object, info->obj_size bytes. */
void udf_template_init(const struct udf_template *tmpl, void *object);

/* ---- runs ---- */

/*
 * What one operation may still spend; shared by every run that it causes.  A run costs its fuel and
 * the length of its program in slots.
 */
struct udf_budget {
	uint64_t fuel;
	uint64_t emits;
};

#define UDF_BUDGET_FULL ((struct udf_budget){ UDF_OP_FUEL_MAX, UDF_OP_EMITS_MAX })

struct udf_extent {
	uint64_t start;
	uint64_t count;
	uint32_t child; /* as emitted: index into the template's table (callers may translate) */
	uint32_t tag;   /* 0 as emitted; the caller's to use, ignored by the set functions */
};

/*
 * A growing list of extents.  Zero-initialise; fini frees.  Most are short: the first few
 * need no memory of their own, so a list that is in use stays where it is.
 */
#define UDF_EXTENTS_FEW 2u
struct udf_extents {
	struct udf_extent *v;
	size_t n, cap;
	struct udf_extent few[UDF_EXTENTS_FEW];
};

void udf_extents_fini(struct udf_extents *list);
int udf_extents_add(struct udf_extents *list, struct udf_extent extent);
/* All or none of them: UDF_ENOMEM. */
int udf_extents_append(struct udf_extents *list, const struct udf_extent *v, size_t n);

/*
 * Which bytes of its input a run read: 0xff is put at their places, the others are left.
 * A run that finds there what this one found does what this one did, whatever stands
 * elsewhere: the same extents, the same fuel.  Either array may be NULL, if nobody asks.
 */
struct udf_read_set {
	uint8_t *record; /* info->rec_size bytes */
	uint8_t *header; /* info->hdr_len bytes */
};

/*
 * Run `owns` on record `index` whose bytes are `record` (info->rec_size of
 * them) under `header` (info->hdr_len bytes; ignored when that is 0), and
 * append what it emits, in order, to `out`.  A template without `owns` owns
 * nothing.  `read_set` (may be NULL) is told which bytes the run read.
 *
 * Fails with
 *   UDF_EFAULT  the run faulted (`fault` says how); `out` is as before
 *   UDF_EINVAL  no such record
 *   UDF_ENOMEM
 */
int udf_owns(const struct udf_template *tmpl, const void *record, uint32_t index,
	     const void *header, struct udf_budget *budget, struct udf_extents *out,
	     const struct udf_read_set *read_set, struct udf_fault *fault);

/*
 * The same over all records of a whole object (info->obj_size bytes).
 */
int udf_owns_object(const struct udf_template *tmpl, const void *object, struct udf_budget *budget,
		    struct udf_extents *out, struct udf_fault *fault);

/*
 * Each fails like udf_owns, and with UDF_EABSENT.  A `refcnt` of 2^32 or more and a
 * `size` above info->obj_size are the fault ARG.
 */
int udf_refcnt(const struct udf_template *tmpl, const void *record, uint32_t index,
	       const void *header, struct udf_budget *budget, uint32_t *count,
	       struct udf_fault *fault);
int udf_size(const struct udf_template *tmpl, const void *object, struct udf_budget *budget,
	     uint64_t *bytes, struct udf_fault *fault);

/* Regions that only `acl` sees. */
struct udf_acl_input {
	const void *old_object; /* info->obj_size bytes */
	const void *new_object; /* the same */
	const void *owner;      /* owner record, or NULL with owner_len 0 */
	uint32_t owner_len;
	const void *args; /* struct udf_acl_args and its arrays */
	uint32_t args_len;
};

/*
 * Ask `acl`.  Returns 1 (approved), 0 (denied); a template without `acl`
 * approves.  A fault is UDF_EFAULT: treat it as a denial.  UDF_EINVAL: owner_len exceeds
 * UDF_OBJECT_MAX or args_len UDF_ACL_ARGS_MAX.
 */
int udf_acl(const struct udf_template *tmpl, const struct udf_acl_input *input,
	    struct udf_budget *budget, struct udf_fault *fault);

/*
 * Ask `acl` with nothing there but the arguments.  An answer is that of udf_acl() with any
 * objects and any owner's record, for it looked at none; and with any arguments of this
 * length that are alike where 0xff is put into `noted` (args_len bytes).  UDF_EFAULT: it wants to
 * see more, or would fault anyway.
 */
int udf_acl_blind(const struct udf_template *tmpl, const void *args, uint32_t args_len,
		  uint8_t *noted, struct udf_budget *budget);

/*
 * Ask `check` whether the object is well-formed.  `*damage` receives the
 * template's own code, 0 = sound; a template without `check` says 0.
 */
int udf_check(const struct udf_template *tmpl, const void *object, uint64_t first_block,
	      struct udf_budget *budget, uint64_t *damage, struct udf_fault *fault);

/* ---- sets of typed blocks ---- */

/*
 * What changed between two emit lists, as sets of (block, child): blocks only
 * in `new_list` go to `added`, those only in `old_list` to `removed`, each in
 * block order with neighbours of one child merged.  Common head and tail are
 * trimmed first, so the cost follows the change.  Both inputs may be reordered
 * in their changed middle.  added and removed are appended to.
 *
 * Fails with
 *   UDF_ERANGE    an extent is empty, overflows, or ends beyond `disk_blocks`
 *   UDF_EOVERLAP  one of the lists names a block twice (as far as the trimmed part tells:
 *                 an overlap inside the common parts was there before)
 *   UDF_ENOMEM
 */
int udf_extents_diff(struct udf_extents *old_list, struct udf_extents *new_list,
		     uint64_t disk_blocks, struct udf_extents *added, struct udf_extents *removed);

/* Sort by start and merge neighbours of one child.  UDF_ERANGE, UDF_EOVERLAP as above. */
int udf_extents_normalise(struct udf_extents *list, uint64_t disk_blocks);

/* Do two normalised lists hold the same typed blocks?  Counts take part. */
bool udf_extents_equal(const struct udf_extents *a, const struct udf_extents *b);

/* ---- checksum used by images, templates and every on-disk structure ---- */

/* CRC-32C (Castagnoli), as iSCSI: udf_crc32c(0, "123456789", 9) == 0xe3069283. Chainable. */
uint32_t udf_crc32c(uint32_t crc, const void *bytes, size_t len);

#ifdef __cplusplus
}
#endif

#endif
