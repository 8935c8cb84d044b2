/* SPDX-License-Identifier: MIT */
/*
 * A host without a disk: the bridge under test sees roots in memory, as many
 * (at most 9) as the last character of the image's name says.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libfs/host.h"
#include "memfs.h"

#define ROOTS_MAX 9u

struct host {
	unsigned n_roots;
	struct libfs *roots[ROOTS_MAX];
};

int host_open(const char *image, const struct host_opts *opts, struct host **out)
{
	struct host *host = calloc(1, sizeof(*host));
	size_t len = strlen(image);

	if (!host)
		return -ENOMEM;
	host->n_roots = (unsigned)(image[len - 1] - '0');
	if (host->n_roots > ROOTS_MAX) {
		snprintf(opts->why, opts->why_size, "not the name of a disk in memory");
		free(host);
		return -EMEDIUMTYPE;
	}
	for (unsigned i = 0; i < host->n_roots; i++) {
		if (memfs_create(&host->roots[i]))
			abort();
	}
	*out = host;
	return 0;
}

int host_close(struct host *host, char *why, size_t why_size)
{
	(void)why, (void)why_size;
	for (unsigned i = 0; i < host->n_roots; i++)
		memfs_destroy(host->roots[i]);
	free(host);
	return 0;
}

int host_root_next(struct host *host, uint32_t after, struct host_root *out)
{
	if (after >= host->n_roots)
		return -ENOENT;
	*out = (struct host_root){ .id = after + 1, .libfs = "memfs" };
	snprintf(out->name, sizeof(out->name), "r%u", after + 1);
	return 0;
}

int host_root_find(struct host *host, const char *name, struct host_root *out)
{
	return host_root_next(host, name[0] == 'r' ? (uint32_t)atoi(name + 1) - 1 : 99, out);
}

int host_mount_root(struct host *host, const char *name, const char *options, struct libfs **out,
		    char *why, size_t why_size)
{
	(void)options, (void)why, (void)why_size;
	*out = host->roots[atoi(name + 1) - 1];
	return 0;
}

int host_statfs(struct host *host, struct libfs_statfs *out)
{
	return libfs_statfs(host->roots[0], out);
}

int host_sync(struct host *host)
{
	(void)host;
	return 0;
}

int host_uuid(struct host *host, uint8_t uuid[16])
{
	(void)host;
	memset(uuid, 7, 16);
	return 0;
}

void host_yield_claim(struct host *host)
{
	(void)host;
}

int host_owner_find(struct host *host, uint64_t block, struct host_owner *out)
{
	(void)host, (void)block, (void)out;
	return -ERANGE;
}

int host_template_next(struct host *host, uint32_t after, struct host_template *out)
{
	(void)host, (void)after, (void)out;
	return -ENOENT;
}

/* ---- credentials: uid, gid, count, groups, as in a xn_cred ---- */

void host_ctx_init(struct host_ctx *ctx, uint32_t uid, uint32_t gid)
{
	ctx->cred[0] = uid;
	ctx->cred[1] = gid;
	ctx->cred[2] = 0;
	ctx->libfs = (struct libfs_ctx){ .cred = (const struct xn_cred *)ctx->cred };
	clock_gettime(CLOCK_REALTIME, &ctx->libfs.now);
}

size_t host_ctx_set_groups(struct host_ctx *ctx, const gid_t *groups, size_t count)
{
	if (count > 32)
		count = 32;
	memcpy(ctx->cred + 3, groups, count * sizeof(*groups));
	ctx->cred[2] = (uint32_t)count;
	return count;
}
