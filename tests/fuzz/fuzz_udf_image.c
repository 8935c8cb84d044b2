/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a template image.  The checksum is put right first, or the fuzzer
 * would never get past it; what loads is run on bytes of the input.
 */
#include <stdlib.h>
#include <string.h>

#include "image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(const struct udf_template *tmpl, const uint8_t *object)
{
	struct udf_budget budget = { 100000, 1000 };
	struct udf_acl_input input = { object, object, object, 64, object, 64 };
	const struct udf_info *info = udf_template_info(tmpl);
	struct udf_extents out = { 0 };
	uint64_t value;
	uint32_t count;

	udf_owns_object(tmpl, object, &budget, &out, NULL);
	if (info->rec_count)
		udf_refcnt(tmpl, object, info->rec_count - 1, object, &budget, &count, NULL);
	udf_size(tmpl, object, &budget, &value, NULL);
	udf_acl(tmpl, &input, &budget, NULL);
	udf_check(tmpl, object, 1, &budget, &value, NULL);
	udf_extents_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct udf_image_disk *disk;
	struct udf_template *tmpl;
	uint8_t *image, *object;

	if (size < sizeof(*disk) || size > UDF_IMAGE_MAX)
		return 0;
	image = malloc(size);
	object = calloc(1, UDF_OBJECT_MAX);
	memcpy(image, data, size);
	disk = (struct udf_image_disk *)image;
	memcpy(disk->magic, UDF_IMAGE_MAGIC, sizeof(disk->magic));
	udf_put_le32(&disk->image_len, (uint32_t)size);
	udf_put_le32(&disk->crc32c, udf_image_crc(image, size));
	if (!udf_template_load(image, size, &tmpl, NULL)) {
		memcpy(object, data, size);
		run(tmpl, object);
		udf_template_destroy(tmpl);
	}
	free(object);
	free(image);
	return 0;
}
