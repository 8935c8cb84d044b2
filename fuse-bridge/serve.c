/* SPDX-License-Identifier: MIT */
/*
 * The life of a mount: disk, roots, session; and down again in mirror order.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bridge.h"
#include "daemon.h"
#include "options.h"
#include "serve.h"
#include "stopper.h"

/* Nobody but this process changes the image: the kernel may remember for long. */
#define KERNEL_TRUST_SECONDS 86400.0

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

static int root_add(struct bridge *bridge, const struct host_root *root, char *why, size_t size)
{
	struct bridge_root *entry = &bridge->roots[bridge->n_roots];
	int err;

	err = host_mount_root(bridge->host, root->name, NULL, &entry->fs, why, size);
	if (err)
		return err;
	snprintf(entry->name, sizeof(entry->name), "%s", root->name);
	bridge->n_roots++;
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
		err = root_add(bridge, &root, why, sizeof(why));
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
		if (bridge->n_roots == NODE_SLOTS_MAX || root_add(bridge, &root, why, sizeof(why)))
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
		.timeout = KERNEL_TRUST_SECONDS,
	};
	clock_gettime(CLOCK_REALTIME, &bridge->born);
	writers_init(&bridge->writers);
	err = disk_open(options, daemon, bridge);
	if (err)
		goto fini_writers;
	bridge->roots = calloc(1, sizeof(*bridge->roots));
	if (!bridge->roots)
		err = -ENOMEM;
	else if (options->root)
		err = one_root(options, daemon, bridge);
	else
		err = all_roots(options, daemon, bridge);
	if (!err)
		return 0;
	free(bridge->roots);
	host_close(bridge->host, NULL, 0);
fini_writers:
	writers_fini(&bridge->writers);
	return err;
}

static int bridge_close(struct bridge *bridge, const struct options *options, struct daemon *daemon)
{
	char why[512];
	int err = host_close(bridge->host, why, sizeof(why));

	free(bridge->roots);
	writers_fini(&bridge->writers);
	if (err)
		speak(daemon, "%s: not everything was written: %s", options->image, why);
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

static struct fuse_session *session_new(const struct options *options, struct bridge *bridge)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *session = NULL;
	char *list = NULL;

	if (options->fuse && fuse_opt_add_opt(&list, options->fuse))
		goto out;
	if (fuse_opt_add_opt(&list,
			     options->rdonly ? "default_permissions,ro" : "default_permissions"))
		goto out;
	if (add_pair(&list, "fsname", options->fsname) ||
	    add_pair(&list, "subtype", options->subtype))
		goto out;
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

static int session_loop(struct fuse_session *session, const struct options *options)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int err;

	if (!config)
		return -ENOMEM;
	fuse_loop_cfg_set_max_threads(config, options->max_threads);
	fuse_loop_cfg_set_idle_threads(config, options->max_threads);
	fuse_loop_cfg_set_clone_fd(config, sysconf(_SC_NPROCESSORS_ONLN) > 2);
	err = fuse_session_loop_mt(session, config);
	fuse_loop_cfg_destroy(config);
	return err;
}

static void ready(void *arg)
{
	daemon_ready(arg);
}

/* Mounted; serve until the kernel or a signal ends it. */
static int session_run(struct fuse_session *session, const char *dir, const struct options *options,
		       struct daemon *daemon)
{
	struct stopper stopper;
	int err;

	err = stopper_start(&stopper, session, dir, daemon);
	if (err) {
		speak(daemon, "%s: the mount has gone", dir);
		fuse_session_unmount(session);
		return err;
	}
	err = session_loop(session, options);
	stopper_stop(&stopper);
	/* Does nothing when the kernel ended the session; else it must not touch what came after. */
	if (!stopper.cut)
		fuse_session_unmount(session);
	if (err < 0)
		speak(daemon, "%s: serving ended: %s", dir, strerror(-err));
	return err < 0 ? err : 0;
}

int serve(const struct options *options, const char *dir, struct daemon *daemon)
{
	struct fuse_session *session;
	struct bridge bridge;
	int code = EXIT_FAIL, err;

	stopper_block_signals();
	if (bridge_open(options, daemon, &bridge))
		return EXIT_FAIL;
	bridge.ready = ready;
	bridge.ready_arg = daemon;
	session = session_new(options, &bridge);
	if (!session)
		goto close_bridge;
	if (fuse_session_mount(session, dir)) {
		speak(daemon, "cannot mount at %s%s", dir,
		      geteuid() ? "; allow_other also needs user_allow_other in /etc/fuse.conf"
				: "");
		goto destroy_session;
	}
	if (session_run(session, dir, options, daemon) == 0)
		code = EXIT_OK;
destroy_session:
	fuse_session_destroy(session);
close_bridge:
	err = bridge_close(&bridge, options, daemon);
	return err ? EXIT_FAIL : code;
}
