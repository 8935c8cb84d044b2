/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>

/* Names on a disk need not be UTF-8, JSON must be: other bytes become '?'. */
static json_t *text_json(const char *text)
{
	char clean[256];
	json_t *json = json_string(text);
	size_t i;

	if (json)
		return json;
	for (i = 0; i < sizeof(clean) - 1 && text[i]; i++)
		clean[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
	clean[i] = '\0';
	return json_string(clean);
}

static json_t *uuid_json(const uint8_t uuid[16])
{
	char text[37];

	snprintf(text, sizeof(text),
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", uuid[0],
		 uuid[1], uuid[2], uuid[3], uuid[4], uuid[5], uuid[6], uuid[7], uuid[8], uuid[9],
		 uuid[10], uuid[11], uuid[12], uuid[13], uuid[14], uuid[15]);
	return json_string(text);
}

static const char *safety_name(enum check_safety safety)
{
	switch (safety) {
	case CHECK_SAFE: return "safe";
	case CHECK_LOSSY: return "lossy";
	default: return "report-only";
	}
}

static json_t *finding_json(const struct fsck_finding *finding)
{
	return json_pack("{s:s, s:o, s:o, s:s, s:b, s:b}", "code", finding->code, "root",
			 *finding->root ? text_json(finding->root) : json_null(), "text",
			 text_json(finding->text), "safety", safety_name(finding->safety),
			 "crash_trace", finding->trace, "repaired", finding->repaired);
}

static json_t *disk_json(const struct fsck_result *result)
{
	return json_pack("{s:o, s:o, s:I, s:I, s:I, s:i, s:i, s:b, s:b, s:b, s:b}", "label",
			 text_json(result->label), "uuid", uuid_json(result->uuid), "blocks",
			 (json_int_t)result->block_count, "used_blocks",
			 (json_int_t)result->used_blocks, "objects", (json_int_t)result->objects,
			 "roots", (int)result->roots, "templates", (int)result->templates,
			 "was_clean", result->was_clean, "skipped", result->skipped, "complete",
			 result->complete, "modified", result->modified);
}

int report_json(FILE *out, const char *image, const struct fsck_result *result)
{
	json_t *findings = json_array(), *report;
	int err;

	for (size_t i = 0; i < result->n_findings; i++)
		json_array_append_new(findings, finding_json(&result->findings[i]));
	report = json_pack("{s:i, s:o, s:i, s:o, s:o, s:I, s:I, s:o}", "version", 1, "image",
			   text_json(image), "exit_code", result->exit_code, "why",
			   *result->why ? text_json(result->why) : json_null(), "disk",
			   result->block_count ? disk_json(result) : json_null(), "found",
			   (json_int_t)result->found, "left", (json_int_t)result->left, "findings",
			   findings);
	if (!report)
		return -ENOMEM;
	err = json_dumpf(report, out, JSON_COMPACT) || fputc('\n', out) == EOF || fflush(out);
	json_decref(report);
	return err ? -EIO : 0;
}
