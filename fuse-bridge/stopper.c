/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crew.h"
#include "seeker.h"
#include "stopper.h"
#include "umount.h"

#define GRACE_MS 5000u
#define STEP_MS  50u

static void end_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

void stopper_block_signals(void)
{
	sigset_t set;

	end_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void nap(void)
{
	const struct timespec step = { .tv_nsec = STEP_MS * 1000000 };

	nanosleep(&step, NULL);
}

/* Is the topmost mount at our directory still ours? */
static bool still_there(const struct stopper *stopper)
{
	struct mount_entry now;

	return mounts_find(stopper->mount.dir, NULL, &now) == 0 &&
	       now.major == stopper->mount.major && now.minor == stopper->mount.minor;
}

static void detach(struct stopper *stopper)
{
	int fd, err;

	if (!still_there(stopper))
		return;
	fd = open(stopper->mount.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		syncfs(fd);
		close(fd);
	}
	err = umount_dir(stopper->mount.dir, true, false);
	if (err)
		speak(stopper->daemon, "cannot unmount %s: %s", stopper->mount.dir, strerror(-err));
}

static bool another_signal(const sigset_t *set)
{
	return sigtimedwait(set, NULL, &(struct timespec){ 0 }) > 0;
}

static void cut_off(struct stopper *stopper)
{
	speak(stopper->daemon, "%s is still in use: those who use it are cut off",
	      stopper->mount.dir);
	stopper->cut = true;
	seeker_stop(stopper->seeker); /* it waits for requests that are still served now */
	crew_stop(stopper->crew);
}

static void *stopper_main(void *arg)
{
	struct stopper *stopper = arg;
	sigset_t set;
	int number;

	end_signals(&set);
	while (sigwait(&set, &number) != 0)
		;
	if (stopper->served)
		return NULL;
	detach(stopper);
	for (unsigned waited = 0; waited < GRACE_MS; waited += STEP_MS) {
		if (stopper->served)
			return NULL;
		if (another_signal(&set))
			break;
		nap();
	}
	if (!stopper->served)
		cut_off(stopper);
	return NULL;
}

int stopper_start(struct stopper *stopper, struct crew *crew, struct seeker *seeker,
		  const char *dir, const struct daemon *daemon)
{
	*stopper = (struct stopper){
		.crew = crew,
		.seeker = seeker,
		.daemon = daemon,
	};
	if (mounts_find(dir, NULL, &stopper->mount))
		return -ENOENT;
	return -pthread_create(&stopper->thread, NULL, stopper_main, stopper);
}

void stopper_stop(struct stopper *stopper)
{
	stopper->served = true;
	pthread_kill(stopper->thread, SIGTERM); /* wakes it, should it wait still */
	pthread_join(stopper->thread, NULL);
}
