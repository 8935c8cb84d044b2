/* SPDX-License-Identifier: MIT */
/*
 * The life of a mount: disk, roots, session; and down again in mirror order.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridge.h"
#include "crew.h"
#include "daemon.h"
#include "options.h"
#include "serve.h"
#include "stopper.h"

/* Nobody but this process changes the image: the kernel may remember for long. */
#define KERNEL_TRUST_SECONDS 86400.0

/* What the kernel asks for in one request, and its headers. */
#define REQUEST_BYTES ((1u << 20) + 4096u)
/* As measured by tests/bench/trips.c. */
#define SPIN_US 50u

struct life {
	const struct options *options;
	struct daemon *daemon;
	struct bridge bridge;
	struct fuse_session *session;
	int closed; /* what closing the disk said */
};

/* ---- the disk ---- */

static void report(void *arg, const char *sentence)
{
	speak(arg, "%s", sentence);
}

/* Whoever holds it may just be finishing (umount returns early): wait, and say so. */
static int disk_open(const struct options *options, struct daemon *daemon, struct bridge *bridge)
{
	char why[512];
	struct host_opts opts = {
		.flags = options->rdonly ? HOST_RDONLY : 0,
		.sync_ms = options->commit_ms,
		.cache_bytes = options->cache_bytes,
		.record = options->record,
		.report = report,
		.report_arg = daemon,
		.why = why,
		.why_size = sizeof(why),
	};
	int err = host_open(options->image, &opts, &bridge->host);

	if (err == -EBUSY && options->lock_ms > 0) {
		speak(daemon, "%s: %s; waiting up to %u seconds", options->image, why,
		      (options->lock_ms + 999) / 1000);
		opts.lock_timeout_ms = options->lock_ms;
		err = host_open(options->image, &opts, &bridge->host);
	}
	if (err)
		speak(daemon, "%s: %s", options->image, why);
	return err;
}

static int root_add(const struct options *options, struct bridge *bridge,
		    const struct host_root *root, char *why, size_t size)
{
	struct bridge_root *entry = &bridge->roots[bridge->n_roots];
	int err;

	err = host_mount_root(bridge->host, root->name, options->fs_options, &entry->fs, why, size);
	if (err)
		return err;
	snprintf(entry->name, sizeof(entry->name), "%s", root->name);
	entry->id = root->id;
	bridge->n_roots++;
	bridge->xattr |= entry->fs->type->ops->getxattr != NULL;
	bridge->acl |= entry->fs->type->features & LIBFS_HAS_ACL;
	return 0;
}

static int one_root(const struct options *options, struct daemon *daemon, struct bridge *bridge)
{
	char why[512] = "";
	struct host_root root;
	int err;

	err = host_root_find(bridge->host, options->root, &root);
	if (err)
		speak(daemon, "%s: no root named %s", options->image, options->root);
	else
		err = root_add(options, bridge, &root, why, sizeof(why));
	if (*why)
		speak(daemon, "%s: root %s: %s", options->image, options->root, why);
	return err;
}

/* A root that cannot be shown takes nothing from the others: it is left out, by name. */
static int all_roots(const struct options *options, struct daemon *daemon, struct bridge *bridge)
{
	struct host_root root = { .id = 0 };
	char why[512];
	unsigned seen = 0;
	int err;

	bridge->many = true;
	for (; (err = host_root_next(bridge->host, root.id, &root)) == 0; seen++) {
		struct bridge_root *more;

		more = realloc(bridge->roots, (bridge->n_roots + 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		bridge->roots = more;
		if (bridge->n_roots == NODE_SLOTS_MAX ||
		    root_add(options, bridge, &root, why, sizeof(why)))
			speak(daemon, "%s: root %s is left out: %s", options->image, root.name,
			      why);
	}
	if (err != -ENOENT)
		return err;
	if (bridge->n_roots > 0)
		return 0;
	speak(daemon, seen ? "%s: no root can be shown" : "%s: has no roots yet; see xn mkfs",
	      options->image);
	return -ENOENT;
}

static int bridge_open(const struct options *options, struct daemon *daemon, struct bridge *bridge)
{
	int err;

	*bridge = (struct bridge){
		.writeback = options->writeback && !options->sync,
		.sync = options->sync,
		.kernel_checks = options->kernel_checks,
		.timeout = KERNEL_TRUST_SECONDS,
	};
	clock_gettime(CLOCK_REALTIME, &bridge->born);
	err = -pthread_key_create(&bridge->scratch, free);
	if (err)
		return err;
	err = disk_open(options, daemon, bridge);
	if (err)
		goto delete_key;
	bridge->roots = calloc(1, sizeof(*bridge->roots));
	if (!bridge->roots)
		err = -ENOMEM;
	else if (options->root)
		err = one_root(options, daemon, bridge);
	else
		err = all_roots(options, daemon, bridge);
	if (options->no_xattr)
		bridge->xattr = bridge->acl = false;
	if (!err)
		return 0;
	free(bridge->roots);
	host_close(bridge->host, NULL, 0);
delete_key:
	pthread_key_delete(bridge->scratch);
	return err;
}

/* The disk; may have been closed before. */
static int disk_close(struct life *life)
{
	char why[512];

	if (!life->bridge.host)
		return life->closed;
	life->closed = host_close(life->bridge.host, why, sizeof(why));
	life->bridge.host = NULL;
	if (life->closed)
		speak(life->daemon, "%s: not everything was written: %s", life->options->image,
		      why);
	return life->closed;
}

static int bridge_close(struct life *life)
{
	int err = disk_close(life);

	free(life->bridge.roots);
	pthread_key_delete(life->bridge.scratch);
	return err;
}

/* ---- the session ---- */

static int add_pair(char **list, const char *key, const char *value)
{
	char *pair;
	int err;

	if (asprintf(&pair, "%s=%s", key, value) < 0)
		return -1;
	err = fuse_opt_add_opt_escaped(list, pair);
	free(pair);
	return err;
}

/*
 * A block device can be mounted as fuseblk: then sync(2) reaches us, and umount(2)
 * waits until the disk is closed.
 */
static bool is_fuseblk(const struct options *options)
{
	struct stat st;

	return !options->plain && !options->rdonly && geteuid() == 0 &&
	       stat(options->image, &st) == 0 && S_ISBLK(st.st_mode);
}

static char *session_options(const struct options *options)
{
	char *list = NULL;

	if (options->fuse && fuse_opt_add_opt(&list, options->fuse))
		goto failed;
	if (options->kernel_checks && fuse_opt_add_opt(&list, "default_permissions"))
		goto failed;
	if (fuse_opt_add_opt(&list, options->rdonly ? "ro" : "rw"))
		goto failed;
	if (is_fuseblk(options) && fuse_opt_add_opt(&list, "blkdev,blksize=4096"))
		goto failed;
	/* The kernel opens a fuseblk mount's source: it must be the device. */
	if (add_pair(&list, "fsname", is_fuseblk(options) ? options->image : options->fsname) ||
	    add_pair(&list, "subtype", options->subtype))
		goto failed;
	return list;
failed:
	free(list);
	return NULL;
}

static struct fuse_session *session_new(const struct options *options, struct bridge *bridge)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *session = NULL;
	char *list = session_options(options);

	if (!list)
		return NULL;
	if (fuse_opt_add_arg(&args, "xn-fuse") || fuse_opt_add_arg(&args, "-o") ||
	    fuse_opt_add_arg(&args, list))
		goto out;
	if (options->debug && fuse_opt_add_arg(&args, "-d"))
		goto out;
	session = fuse_session_new(&args, &bridge_ops, sizeof(bridge_ops), bridge);
out:
	fuse_opt_free_args(&args);
	free(list);
	return session;
}

static ssize_t session_read(int fd, void *buffer, size_t size, void *bridge)
{
	(void)bridge;
	return read(fd, buffer, size);
}

static int session_mount(struct life *life, const char *dir)
{
	static const struct fuse_custom_io io = { .writev = raw_writev, .read = session_read };

	if (is_fuseblk(life->options))
		host_yield_claim(life->bridge.host);
	if (fuse_session_mount(life->session, dir))
		return -EIO;
	life->bridge.fd = fuse_session_fd(life->session);
	return fuse_session_custom_io(life->session, &io, life->bridge.fd);
}

/* One request, by whichever of us understands it. */
static void serve_request(void *arg, struct fuse_in_header *request, size_t size)
{
	struct life *life = arg;

	if (!raw_serve(&life->bridge, request, size))
		fuse_session_process_buf(life->session,
					 &(struct fuse_buf){ .mem = request, .size = size });
}

static void ready(void *arg)
{
	daemon_ready(arg);
}

/* The kernel waits in umount(2) for the answer: what it may find then is a closed disk. */
static void destroy(void *arg)
{
	disk_close(arg);
}

/* Mounted; serve until the kernel or a signal ends it. */
static int session_run(struct life *life, const char *dir)
{
	const struct crew_policy policy = {
		.threads = life->options->max_threads,
		.spin_us = SPIN_US,
		.follow = true,
	};
	struct stopper stopper;
	struct crew *crew;
	int err;

	err = crew_create(life->bridge.fd, REQUEST_BYTES, &policy, serve_request, life, &crew);
	if (err)
		goto unmount;
	err = seeker_start(&life->bridge, life->session, &life->bridge.seeker);
	if (err)
		goto destroy_crew;
	err = stopper_start(&stopper, crew, life->bridge.seeker, dir, life->daemon);
	if (err) {
		speak(life->daemon, "%s: the mount has gone", dir);
		goto destroy_seeker;
	}
	err = crew_run(crew);
	stopper_stop(&stopper);
	seeker_destroy(life->bridge.seeker);
	crew_destroy(crew);
	/* Does nothing when the kernel ended the session; else it must not touch what came after. */
	if (!stopper.cut)
		fuse_session_unmount(life->session);
	if (err < 0)
		speak(life->daemon, "%s: serving ended: %s", dir, strerror(-err));
	return err;

destroy_seeker:
	seeker_destroy(life->bridge.seeker);
destroy_crew:
	crew_destroy(crew);
unmount:
	fuse_session_unmount(life->session);
	return err;
}

int serve(const struct options *options, const char *dir, struct daemon *daemon)
{
	struct life life = { .options = options, .daemon = daemon };
	int code = EXIT_FAIL;

	stopper_block_signals();
	if (bridge_open(options, daemon, &life.bridge))
		return EXIT_FAIL;
	life.bridge.ready = ready;
	life.bridge.ready_arg = daemon;
	life.bridge.destroy = destroy;
	life.bridge.destroy_arg = &life;
	life.session = session_new(options, &life.bridge);
	if (!life.session)
		goto close_bridge;
	if (session_mount(&life, dir)) {
		speak(daemon, "cannot mount at %s%s", dir,
		      geteuid() ? "; allow_other also needs user_allow_other in /etc/fuse.conf"
				: "");
		goto destroy_session;
	}
	if (session_run(&life, dir) == 0)
		code = EXIT_OK;
destroy_session:
	fuse_session_destroy(life.session);
close_bridge:
	return bridge_close(&life) ? EXIT_FAIL : code;
}
