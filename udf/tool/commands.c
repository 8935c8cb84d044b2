/* SPDX-License-Identifier: MIT */
/* xn-tmpl check, dump and run: what can be done with a template image. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "disasm.h"
#include "image.h"

struct loaded {
	struct blob blob;
	struct udf_template *tmpl;
	const struct udf_info *info;
};

static void loaded_fini(struct loaded *loaded)
{
	udf_template_destroy(loaded->tmpl);
	blob_fini(&loaded->blob);
}

static enum outcome load(const char *path, struct loaded *out)
{
	struct udf_refusal why;
	enum outcome err;
	int code;

	memset(out, 0, sizeof(*out));
	err = file_read(path, &out->blob);
	if (err)
		return err;
	code = udf_template_load(out->blob.bytes, out->blob.len, &out->tmpl, &why);
	if (!code) {
		out->info = udf_template_info(out->tmpl);
		return DONE;
	}
	if (code == UDF_EPROGRAM || code == UDF_EFAULT)
		refuse(path, "%s: %s", udf_function_name(why.function), why.text);
	else
		refuse(path, "%s", why.text);
	loaded_fini(out);
	return code == UDF_ENOMEM ? TROUBLE : REFUSED;
}

enum outcome command_check(int argc, char **argv)
{
	enum outcome worst = DONE;

	if (argc < 2)
		return trouble("check", "usage: xn-tmpl check TEMPLATE...");
	for (int i = 1; i < argc; i++) {
		struct loaded loaded;
		enum outcome err = load(argv[i], &loaded);

		if (!err) {
			printf("%s: %s: sound\n", argv[i], loaded.info->name);
			loaded_fini(&loaded);
		}
		worst = err > worst ? err : worst;
	}
	return worst;
}

/* ---- dump ---- */

static void print_child(uint64_t id)
{
	if (id == UDF_CHILD_ID_DATA)
		printf("DATA");
	else if (id == UDF_CHILD_ID_RESERVED)
		printf("RESERVED");
	else if (id == UDF_CHILD_ID_SELF)
		printf("SELF");
	else if (id >= UDF_CHILD_ID_BATCH)
		printf("BATCH+%llu", (unsigned long long)(id - UDF_CHILD_ID_BATCH));
	else
		printf("id:%" PRIx64, id);
}

static void dump_header(const struct udf_info *info)
{
	printf("name      %s\n", info->name);
	printf("abi       %u.%u\n", info->abi_major, info->abi_minor);
	printf("flags     %s\n", info->flags & UDF_TEMPLATE_STICKY ? "sticky" : "-");
	printf("image     %u bytes\n", info->image_len);
	printf("object    %u bytes, header %u\n", info->obj_size, info->hdr_len);
	printf("records   %u of %u bytes from %u\n", info->rec_count, info->rec_size,
	       info->rec_off);
	printf("max_emit  %u\n", info->max_emit);
	for (uint32_t i = 0; i < info->n_child; i++) {
		printf("child     %u ", i);
		print_child(info->child[i]);
		putchar('\n');
	}
}

static void dump_bytes(const char *title, const uint8_t *bytes, uint32_t len)
{
	if (!len)
		return;
	printf("\n%s, %u bytes:\n", title, len);
	for (uint32_t i = 0; i < len; i += 16) {
		printf("%6x:", i);
		for (uint32_t k = i; k < i + 16 && k < len; k++)
			printf(" %02x", bytes[k]);
		putchar('\n');
	}
}

static void dump_code(const uint8_t *code, uint32_t n)
{
	char text[96];

	for (uint32_t at = 0; at < n;) {
		unsigned taken = disasm_slot(code, at, n, text, sizeof(text));

		printf("%8u:\t", at);
		for (unsigned k = 0; k < taken * UDF_SLOT_BYTES; k++)
			printf("%02x ", code[at * UDF_SLOT_BYTES + k]);
		printf("\t%s\n", text);
		at += taken;
	}
}

static void dump_functions(const struct udf_info *info)
{
	const struct udf_image_disk *disk = (const struct udf_image_disk *)info->image;

	for (unsigned fn = 0; fn < UDF_FN_COUNT; fn++) {
		uint32_t n = udf_le32(disk->fn[fn].len) / UDF_SLOT_BYTES;

		if (!n)
			continue;
		printf("\n%s, %u slots, fuel %u:\n", udf_function_name(fn), n, info->fuel[fn]);
		dump_code(info->image + udf_le32(disk->fn[fn].off), n);
	}
}

enum outcome command_dump(int argc, char **argv)
{
	struct loaded loaded;
	enum outcome err;

	if (argc != 2)
		return trouble("dump", "usage: xn-tmpl dump TEMPLATE");
	err = load(argv[1], &loaded);
	if (err)
		return err;
	dump_header(loaded.info);
	dump_bytes("rodata", loaded.tmpl->rodata, loaded.tmpl->rodata_len);
	dump_functions(loaded.info);
	dump_bytes("init", loaded.info->init, loaded.info->init_len);
	loaded_fini(&loaded);
	return fflush(stdout) ? trouble("dump", "%s", strerror(errno)) : DONE;
}

/* ---- run ---- */

struct trial {
	struct loaded loaded;
	enum udf_function fn;
	bool one_record;
	uint32_t record;
	uint64_t first_block;
	struct blob object, proposed, owner, args;
	struct udf_budget budget;
	struct udf_fault fault;
};

static enum outcome parse_number(const char *what, const char *text, uint64_t max, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 0);
	if (errno || !*text || *end || *text == '-' || *out > max)
		return trouble(what, "'%s' is not a number in range", text);
	return DONE;
}

static enum outcome report_fault(const struct trial *trial)
{
	const struct udf_fault *fault = &trial->fault;

	fprintf(stderr, "xn-tmpl: %s faulted: %s at slot %u", udf_function_name(fault->function),
		udf_fault_name(fault->code), fault->slot);
	if (fault->record != UDF_RECORD_NONE)
		fprintf(stderr, " of record %u", fault->record);
	fprintf(stderr, ", value 0x%" PRIx64 ": %s\n", fault->value, udf_fault_text(fault->code));
	return REFUSED;
}

static enum outcome report_error(const struct trial *trial, int err)
{
	if (err == UDF_EFAULT)
		return report_fault(trial);
	return refuse(trial->loaded.info->name, "%s", udf_error_text(err));
}

static enum outcome run_owns(struct trial *trial, uint32_t record, const uint8_t *bytes)
{
	struct udf_extents owned = { 0 };
	int err = udf_owns(trial->loaded.tmpl, bytes, record, trial->object.bytes, &trial->budget,
			   &owned, NULL, &trial->fault);

	for (size_t i = 0; i < owned.n && !err; i++) {
		printf("record %u: start %" PRIu64 " count %" PRIu64 " child %u ", record,
		       owned.v[i].start, owned.v[i].count, owned.v[i].child);
		print_child(trial->loaded.info->child[owned.v[i].child]);
		putchar('\n');
	}
	udf_extents_fini(&owned);
	return err ? report_error(trial, err) : DONE;
}

static enum outcome run_refcnt(struct trial *trial, uint32_t record, const uint8_t *bytes)
{
	uint32_t count;
	int err = udf_refcnt(trial->loaded.tmpl, bytes, record, trial->object.bytes, &trial->budget,
			     &count, &trial->fault);

	if (err)
		return report_error(trial, err);
	printf("record %u: %u\n", record, count);
	return DONE;
}

static enum outcome run_records(struct trial *trial)
{
	const struct udf_info *info = trial->loaded.info;
	uint32_t first = trial->one_record ? trial->record : 0;
	uint32_t end = trial->one_record ? first + 1 : info->rec_count;

	if (end > info->rec_count)
		return trouble("--record", "there are %u records", info->rec_count);
	for (uint32_t i = first; i < end; i++) {
		const uint8_t *bytes = trial->object.bytes + info->rec_off + i * info->rec_size;
		enum outcome err = trial->fn == UDF_FN_OWNS ? run_owns(trial, i, bytes)
							    : run_refcnt(trial, i, bytes);

		if (err)
			return err;
		trial->budget = UDF_BUDGET_FULL;
	}
	return DONE;
}

static enum outcome run_acl(struct trial *trial)
{
	const struct blob *proposed = trial->proposed.bytes ? &trial->proposed : &trial->object;
	struct udf_acl_input input = { trial->object.bytes, proposed->bytes,
				       trial->owner.bytes,  (uint32_t)trial->owner.len,
				       trial->args.bytes,   (uint32_t)trial->args.len };
	int answer = udf_acl(trial->loaded.tmpl, &input, &trial->budget, &trial->fault);

	if (answer < 0)
		return report_error(trial, answer);
	printf("%s\n", answer ? "approved" : "denied");
	return DONE;
}

static enum outcome run_object(struct trial *trial)
{
	uint64_t value;
	int err;

	if (trial->fn == UDF_FN_ACL)
		return run_acl(trial);
	if (trial->fn == UDF_FN_SIZE)
		err = udf_size(trial->loaded.tmpl, trial->object.bytes, &trial->budget, &value,
			       &trial->fault);
	else
		err = udf_check(trial->loaded.tmpl, trial->object.bytes, trial->first_block,
				&trial->budget, &value, &trial->fault);
	if (err)
		return report_error(trial, err);
	printf("%" PRIu64 "\n", value);
	return DONE;
}

static enum outcome parse_function(const char *name, enum udf_function *out)
{
	for (unsigned fn = 0; fn < UDF_FN_COUNT; fn++)
		if (strcmp(name, udf_function_name(fn)) == 0) {
			*out = fn;
			return DONE;
		}
	return trouble(name, "the functions are owns, refcnt, size, acl, check");
}

static enum outcome read_object(const char *path, const struct udf_info *info, struct blob *out)
{
	enum outcome err = file_read(path, out);

	if (!err && out->len != info->obj_size)
		err = refuse(path, "%zu bytes; an object of %s has %u", out->len, info->name,
			     info->obj_size);
	return err;
}

static enum outcome run_positional(struct trial *trial, const char *proposed, char **argv)
{
	enum outcome err = load(argv[0], &trial->loaded);

	if (!err)
		err = parse_function(argv[1], &trial->fn);
	if (!err && !trial->loaded.info->has[trial->fn])
		err = refuse(argv[0], "template has no function %s", argv[1]);
	if (!err)
		err = read_object(argv[2], trial->loaded.info, &trial->object);
	if (!err && proposed)
		err = read_object(proposed, trial->loaded.info, &trial->proposed);
	if (err)
		return err;
	if (trial->fn == UDF_FN_OWNS || trial->fn == UDF_FN_REFCNT)
		return run_records(trial);
	return run_object(trial);
}

static enum outcome run_option(struct trial *trial, int option, const char **proposed)
{
	uint64_t number = 0;
	enum outcome err;

	switch (option) {
	case 'r':
		err = parse_number("--record", optarg, UDF_RECORDS_MAX, &number);
		trial->one_record = true;
		trial->record = (uint32_t)number;
		return err;
	case 'b': return parse_number("--first-block", optarg, UDF_BLOCKS_MAX, &trial->first_block);
	case 'n': *proposed = optarg; return DONE;
	case 'w': blob_fini(&trial->owner); return file_read(optarg, &trial->owner);
	case 'a': blob_fini(&trial->args); return file_read(optarg, &trial->args);
	default: return TROUBLE;
	}
}

enum outcome command_run(int argc, char **argv)
{
	static const struct option options[] = { { "record", required_argument, NULL, 'r' },
						 { "first-block", required_argument, NULL, 'b' },
						 { "new", required_argument, NULL, 'n' },
						 { "owner", required_argument, NULL, 'w' },
						 { "args", required_argument, NULL, 'a' },
						 { NULL, 0, NULL, 0 } };
	struct trial trial = { .budget = UDF_BUDGET_FULL };
	const char *proposed = NULL;
	enum outcome err = DONE;
	int option;

	while (!err && (option = getopt_long(argc, argv, "", options, NULL)) != -1)
		err = run_option(&trial, option, &proposed);
	if (!err && argc - optind != 3)
		err = trouble("run", "usage: xn-tmpl run TEMPLATE FUNCTION BLOCKFILE [--record N] "
				     "[--first-block N] [--new FILE] [--owner FILE] [--args FILE]");
	if (!err)
		err = run_positional(&trial, proposed, argv + optind);
	loaded_fini(&trial.loaded);
	blob_fini(&trial.object);
	blob_fini(&trial.proposed);
	blob_fini(&trial.owner);
	blob_fini(&trial.args);
	if (!err && fflush(stdout))
		err = trouble("run", "%s", strerror(errno));
	return err;
}
