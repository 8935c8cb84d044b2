/* SPDX-License-Identifier: MIT */
/*
 * Where new blocks go.
 *
 * Three streams run over the disk: blocks of directories, small files, large
 * files.  Each takes regions, long free runs, and consumes them in order.  Out of
 * the region of small files every directory takes **windows** of 64 KiB, and fills
 * them with its files in the order of their making: so the small files of a
 * directory lie together, and the windows of directories made in a row do.
 *
 *  (1) All of this is a wish: places are claimed by xn_update() alone.  Whoever
 *      finds his place taken (XN_ENOTFREE) asks again.
 *  (2) Nothing of it is on disk.  What a window does not use belongs to nobody,
 *      and goes to anybody when space is short.  After a mount, a directory goes on
 *      behind the files that lie beside the new name.
 *  (3) A file grows where it ends, if it can.  Where that is taken, a small one
 *      moves as a whole (write.c), a large one gets a region of its own.
 *  (4) The first window of a directory begins where the last one handed out was
 *      used up to: making many small directories leaves no gaps.
 *
 * Without groups (mkfs -O no-group) a file lies somewhere in the neighbourhood of
 * its directory, as cylinder groups would have it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define WINDOW       16u  /* blocks: 64 KiB */
#define GROUPS       512u /* directories whose windows are remembered */
#define HOLES        8u
#define LARGES       128u /* large files whose regions are remembered */
#define LARGE_FIRST  64u
#define LARGE_MAX    4096u
#define REGION_SMALL 1024u
#define REGION_DIR   512u
#define CHUNK        16384u /* blocks of one map of XN */
#define CHUNKS_TRIED 8u
#define STREAMS      4u
#define DECAY        64u /* small files gone, until a directory is looked at */

struct range {
	xn_blk_t next, end; /* [next, end) is to be used; next == end: nothing is left */
};

struct group {
	uint64_t dir; /* 0: none */
	struct range window;
	xn_blk_t hole[HOLES]; /* given back by its files; 0: none */
	uint32_t next_hole;
	uint32_t given_back; /* since it was last looked at */
};

struct large {
	uint64_t ino;
	struct range region;
	uint64_t size; /* of its last region */
};

/* Somebody reads windows one behind the other. */
struct stream {
	xn_blk_t end;
	uint32_t count; /* of the last blocks read ahead */
};

/* What is asked for. */
struct wish {
	struct cffs_inode *dir, *inode; /* dir may be NULL */
	uint64_t want;
	xn_blk_t beside; /* behind the files beside the inode's name; 0: not known */
};

struct cffs_places {
	pthread_mutex_t lock;
	struct range small, dirs;
	xn_blk_t large; /* where the next region is looked for */
	struct large *last_large;
	struct group group[GROUPS];
	struct group *last; /* the one that took a window last */
	struct large file[LARGES];
	struct stream ahead[STREAMS];
	uint32_t next_ahead;
	uint64_t decayed; /* a directory that regroup.c should look at; 0: none */
};

/* Under fs->lock only to be made once. */
static struct cffs_places *places_of(struct cffs *fs)
{
	struct cffs_places *places;

	pthread_mutex_lock(&fs->lock);
	if (!fs->places) {
		fs->places = calloc(1, sizeof(*fs->places));
		if (fs->places)
			pthread_mutex_init(&fs->places->lock, NULL);
	}
	places = fs->places;
	pthread_mutex_unlock(&fs->lock);
	return places;
}

void cffs_places_free(struct cffs *fs)
{
	if (!fs->places)
		return;
	pthread_mutex_destroy(&fs->places->lock);
	free(fs->places);
	fs->places = NULL;
}

/* ---- runs ---- */

/* A free run of `want` blocks behind `near`, or the longest of those that were looked at. */
static int find_run(struct cffs *fs, xn_blk_t near, uint64_t want, uint32_t align,
		    struct xn_extent *out)
{
	struct xn_extent run;
	uint64_t chunk = near / CHUNK;
	uint32_t free_blocks;
	int err;

	err = xn_find_free(fs->libfs.session, near, want, align, out);
	for (unsigned n = 1; !err && out->count < want && n < CHUNKS_TRIED; n++) {
		if (xn_chunk_summary(fs->xn, chunk + n, &free_blocks))
			break;
		if (free_blocks <= out->count)
			continue;
		if (xn_find_free(fs->libfs.session, (chunk + n) * CHUNK + 1, want, align, &run))
			break;
		if (run.count > out->count)
			*out = run;
	}
	return err;
}

/* Exactly there?  `out` says how much of it. */
static bool find_here(struct cffs *fs, xn_blk_t at, uint64_t want, struct xn_extent *out)
{
	return xn_find_free(fs->libfs.session, at, want, 1, out) == 0 && out->start == at;
}

/* Any place at all: the disk may be nearly full. */
static int find_any(struct cffs *fs, xn_blk_t near, uint64_t want, struct xn_extent *out)
{
	return xn_find_free(fs->libfs.session, near, want, 1, out);
}

static xn_blk_t home_of(const struct cffs *fs)
{
	return fs->root->object;
}

/* Regions are no more than a 64th of the disk. */
static uint64_t region_size(const struct cffs *fs, uint64_t wanted)
{
	struct xn_disk_info info;
	uint64_t most;

	if (xn_disk_info(fs->xn, &info))
		return WINDOW;
	most = info.block_count / 64 / WINDOW * WINDOW;
	return most < WINDOW ? WINDOW : most < wanted ? most : wanted;
}

/* Where what others are about to use ends, if the run meets it; 0: it does not. */
static xn_blk_t others_end(const struct cffs_places *places, const struct xn_extent *run,
			   const struct range *self)
{
	const struct range *others[] = { &places->small, &places->dirs,
					 places->last_large ? &places->last_large->region : NULL };

	for (unsigned i = 0; i < 3; i++)
		if (others[i] && others[i] != self && others[i]->next < run->start + run->count &&
		    run->start < others[i]->end)
			return others[i]->end;
	return 0;
}

/* A run for a stream of its own, if there is one that nobody else is about to use. */
static int find_region(struct cffs *fs, struct cffs_places *places, const struct range *self,
		       xn_blk_t near, uint64_t want, struct xn_extent *out)
{
	int err = find_run(fs, near, want, WINDOW, out);

	for (unsigned n = 0; !err && n < 3; n++) {
		xn_blk_t end = others_end(places, out, self);

		if (!end)
			break;
		err = find_run(fs, end, want, WINDOW, out);
	}
	return err;
}

/* Let the stream have at least `need` blocks in a row, or as many as there are. */
static int stream_fill(struct cffs *fs, struct cffs_places *places, struct range *stream,
		       uint64_t need, uint64_t region)
{
	struct xn_extent run;
	uint64_t size = region_size(fs, region);
	int err;

	if (stream->next + need <= stream->end)
		return 0;
	err = find_region(fs, places, stream, stream->end ? stream->end : home_of(fs),
			  size < need ? need : size, &run);
	if (err)
		return err;
	*stream = (struct range){ run.start, run.start + run.count };
	return 0;
}

/* ---- groups ---- */

static struct group *group_of(struct cffs_places *places, uint64_t dir, bool *fresh)
{
	struct group *group = &places->group[dir % GROUPS];

	*fresh = group->dir != dir;
	if (*fresh)
		*group = (struct group){ .dir = dir };
	return group;
}

/* The end of the last block that files beside the inode's name have; 0: none there. */
static xn_blk_t neighbours_end(struct cffs *fs, struct cffs_inode *inode)
{
	struct cffs_hold *hold;
	struct cffs_entry entry;
	xn_blk_t end = 0;
	uint32_t record;

	if (!inode->dir || cffs_inode_owner(fs, inode, &hold, &record))
		return 0;
	pthread_mutex_lock(&fs->lock);
	for (uint32_t s = 0; s < CFFS_SECTORS; s++) {
		uint32_t at = 0;

		while (cffs_sector_next(hold->bytes + s * CFFS_SECTOR, &at, &entry)) {
			const struct cffs_slot *slot = &entry.b.slot[0];

			if (entry.kind == CFFS_KIND_INODE && slot->class == CFFS_CLASS_DATA &&
			    slot->count <= CFFS_SMALL && slot->start + slot->count > end)
				end = slot->start + slot->count;
		}
	}
	pthread_mutex_unlock(&fs->lock);
	cffs_hold_put(fs, hold);
	return end;
}

/* The unused end of the last window goes back to the stream it came from. */
static void window_give_back(struct cffs_places *places)
{
	struct group *last = places->last;

	if (!last || last->window.end != places->small.next || last->window.next == 0)
		return;
	places->small.next = last->window.next;
	last->window.end = last->window.next;
}

/* `first` of the directory since it was mounted: then `beside` (or 0) is a wish. */
static int window_take(struct cffs *fs, struct cffs_places *places, struct group *group,
		       xn_blk_t beside, bool first, uint64_t need)
{
	uint64_t size = need > WINDOW ? need : WINDOW;
	struct xn_extent here;
	int err;

	if (first && beside && find_here(fs, beside, WINDOW, &here) && here.count >= need) {
		group->window = (struct range){ here.start, here.start + here.count };
		return 0;
	}
	if (first)
		window_give_back(places);
	err = stream_fill(fs, places, &places->small, need, REGION_SMALL);
	if (err)
		return err;
	if (size > places->small.end - places->small.next)
		size = places->small.end - places->small.next;
	group->window = (struct range){ places->small.next, places->small.next + size };
	places->small.next += size;
	places->last = group;
	return 0;
}

static bool hole_take(struct cffs *fs, struct group *group, uint64_t want, struct xn_extent *out)
{
	for (uint32_t i = 0; i < HOLES; i++) {
		xn_blk_t hole = group->hole[i];

		if (!hole || !find_here(fs, hole, want, out))
			continue;
		group->hole[i] = 0;
		if (out->count >= want)
			return true;
	}
	return false;
}

static bool window_use(struct cffs *fs, struct range *window, uint64_t want, struct xn_extent *out)
{
	if (window->next + want > window->end ||
	    xn_find_free(fs->libfs.session, window->next, want, 1, out) ||
	    out->start < window->next || out->count < want || out->start + want > window->end)
		return false;
	window->next = out->start + out->count;
	return true;
}

static uint64_t group_id(const struct cffs_inode *dir, const struct cffs_inode *inode)
{
	return dir ? dir->a.ino : inode->a.ino;
}

static int place_in_group(struct cffs *fs, struct cffs_places *places, const struct wish *wish,
			  struct xn_extent *out)
{
	bool fresh;
	struct group *group = group_of(places, group_id(wish->dir, wish->inode), &fresh);
	uint64_t want = wish->want;
	int err;

	if (window_use(fs, &group->window, want, out) || hole_take(fs, group, want, out))
		return 0;
	for (unsigned n = 0; n < 2; n++) {
		err = window_take(fs, places, group, wish->beside, fresh && n == 0, want);
		if (err)
			return err;
		if (window_use(fs, &group->window, want, out))
			return 0;
	}
	return find_any(fs, group->window.end, want, out);
}

/* With places->lock held. */
static void hole_note(struct cffs_places *places, uint64_t dir, xn_blk_t start)
{
	bool fresh;
	struct group *group = group_of(places, dir, &fresh);

	group->hole[group->next_hole++ % HOLES] = start;
	if (++group->given_back < DECAY)
		return;
	group->given_back = 0;
	places->decayed = dir;
}

void cffs_place_hole(struct cffs *fs, struct cffs_inode *dir, xn_blk_t start, uint64_t count)
{
	struct cffs_places *places = places_of(fs);

	if (!places || !dir || count == 0)
		return;
	pthread_mutex_lock(&places->lock);
	hole_note(places, dir->a.ino, start);
	pthread_mutex_unlock(&places->lock);
}

void cffs_place_removed(struct cffs *fs, const struct cffs_inode *inode)
{
	const struct cffs_slot *slot = &inode->b.slot[0];

	if (!fs->places || !inode->dir || slot->class != CFFS_CLASS_DATA ||
	    slot->count > CFFS_SMALL)
		return;
	pthread_mutex_lock(&fs->places->lock);
	hole_note(fs->places, inode->dir->a.ino, slot->start);
	pthread_mutex_unlock(&fs->places->lock);
}

uint64_t cffs_place_decayed(struct cffs *fs)
{
	struct cffs_places *places = places_of(fs);
	uint64_t ino = 0;

	if (!places || (fs->params.options & CFFS_O_NO_GROUP))
		return 0;
	pthread_mutex_lock(&places->lock);
	ino = places->decayed;
	places->decayed = 0;
	pthread_mutex_unlock(&places->lock);
	return ino;
}

void cffs_place_anew(struct cffs *fs, struct cffs_inode *dir)
{
	struct cffs_places *places = places_of(fs);
	bool fresh;

	if (!places)
		return;
	pthread_mutex_lock(&places->lock);
	*group_of(places, dir->a.ino, &fresh) = (struct group){ .dir = dir->a.ino };
	pthread_mutex_unlock(&places->lock);
}

/* ---- reading groups ---- */

/* Who reads one window after the other gets more of them at once. */
static uint32_t ahead_size(const struct cffs_places *places, xn_blk_t window)
{
	for (uint32_t i = 0; i < STREAMS; i++) {
		uint32_t size = places->ahead[i].count * 2;

		if (places->ahead[i].end == window)
			return size < XN_PREFETCH_MAX ? size : XN_PREFETCH_MAX;
	}
	return WINDOW;
}

static void ahead_note(struct cffs_places *places, xn_blk_t window, uint32_t count)
{
	uint32_t i = 0;

	while (i < STREAMS && places->ahead[i].end != window)
		i++;
	if (i == STREAMS)
		i = places->next_ahead++ % STREAMS;
	places->ahead[i] = (struct stream){ window + count, count };
}

void cffs_ahead_group(struct cffs *fs, xn_blk_t block)
{
	struct cffs_places *places = places_of(fs);
	xn_blk_t window = block / WINDOW * WINDOW;
	uint32_t count;

	if (!places)
		return;
	pthread_mutex_lock(&places->lock);
	count = ahead_size(places, window);
	pthread_mutex_unlock(&places->lock);
	/* Failing is slower, nothing else. */
	if (xn_prefetch(fs->libfs.session, block, window, count) <= 0)
		return;
	pthread_mutex_lock(&places->lock);
	ahead_note(places, window, count);
	pthread_mutex_unlock(&places->lock);
}

/* ---- the others ---- */

static int place_in_dirs(struct cffs *fs, struct cffs_places *places, uint64_t want,
			 struct xn_extent *out)
{
	int err;

	for (unsigned n = 0; n < 2; n++) {
		err = stream_fill(fs, places, &places->dirs, 1, REGION_DIR);
		if (err)
			return err;
		if (window_use(fs, &places->dirs, want, out))
			return 0;
		places->dirs.next = places->dirs.end;
	}
	return find_any(fs, places->dirs.end, want, out);
}

/* What the last large file did not use of its region is for the next one. */
static void region_give_back(struct cffs_places *places)
{
	struct large *last = places->last_large;

	if (!last || last->region.end != places->large)
		return;
	places->large = last->region.end = last->region.next;
	places->last_large = NULL;
}

static int place_large(struct cffs *fs, struct cffs_places *places, struct cffs_inode *inode,
		       uint64_t want, struct xn_extent *out)
{
	struct large *file = &places->file[inode->a.ino % LARGES];
	uint64_t size;
	int err;

	if (file->ino == inode->a.ino && file->region.next < file->region.end &&
	    find_here(fs, file->region.next, want, out)) {
		file->region.next += out->count;
		return 0;
	}
	if (file->ino != inode->a.ino)
		region_give_back(places);
	size = file->ino == inode->a.ino ? file->size * 2 : LARGE_FIRST;
	size = region_size(fs, size < LARGE_MAX ? size : LARGE_MAX);
	size = size < want ? want : size;
	if (!places->large)
		places->large = home_of(fs) + 4 * REGION_SMALL;
	err = find_region(fs, places, NULL, places->large, size, out);
	if (err)
		return find_any(fs, places->large, want, out);
	places->large = out->start + out->count;
	*file = (struct large){ inode->a.ino, { out->start, places->large }, size };
	if (out->count > want)
		out->count = want;
	file->region.next += out->count;
	places->last_large = file;
	return 0;
}

static uint64_t scatter(uint64_t number)
{
	return number * 0x9e3779b97f4a7c15ull >> 24;
}

/*
 * Near its directory and beside nobody, as cylinder groups and a rotational delay would have it;
 * directories are spread over the disk.  External inodes made together count as a directory.
 */
static int place_anywhere(struct cffs *fs, struct cffs_inode *dir, struct cffs_inode *inode,
			  uint64_t want, struct xn_extent *out)
{
	xn_blk_t block = dir != fs->xdir ? cffs_dir_block(dir ? dir : inode) : 0;
	struct xn_disk_info info;
	xn_blk_t near;
	int err;

	if (xn_disk_info(fs->xn, &info))
		return -EIO;
	if (!block)
		block = scatter(dir == fs->xdir ? inode->a.ino >> 7 : inode->a.ino) %
			info.block_count;
	near = block / CHUNK * CHUNK + scatter(inode->a.ino) % CHUNK;
	near = near < info.block_count ? near : near % info.block_count;
	err = xn_find_free(fs->libfs.session, near, want, 2, out);
	return err ? find_any(fs, near, want, out) : 0;
}

/* Where the file's block before this one is, plus one; 0: nowhere. */
static xn_blk_t continuation(struct cffs *fs, struct cffs_inode *inode, uint64_t logical)
{
	struct cffs_run run;
	xn_blk_t next = 0;

	if (logical == 0 || cffs_map(fs, inode, logical - 1, 1, &run))
		return 0;
	if (run.start)
		next = run.start + 1;
	if (run.owner)
		cffs_hold_put(fs, run.owner);
	return next;
}

/* Looked at without the lock: it may read the directory. */
static void wish_beside(struct cffs *fs, struct cffs_places *places, struct wish *wish)
{
	uint64_t id = group_id(wish->dir, wish->inode);
	bool known;

	if (fs->params.options & CFFS_O_NO_GROUP)
		return;
	pthread_mutex_lock(&places->lock);
	known = places->group[id % GROUPS].dir == id;
	pthread_mutex_unlock(&places->lock);
	if (!known)
		wish->beside = neighbours_end(fs, wish->inode);
}

static int place_small(struct cffs *fs, struct cffs_places *places, struct wish *wish,
		       struct xn_extent *out)
{
	int err;

	wish_beside(fs, places, wish);
	pthread_mutex_lock(&places->lock);
	if (fs->params.options & CFFS_O_NO_GROUP)
		err = place_anywhere(fs, wish->dir, wish->inode, wish->want, out);
	else
		err = place_in_group(fs, places, wish, out);
	pthread_mutex_unlock(&places->lock);
	return err;
}

int cffs_place_small(struct cffs *fs, struct cffs_inode *dir, struct cffs_inode *inode,
		     uint64_t want, struct xn_extent *out)
{
	struct cffs_places *places = places_of(fs);
	struct wish wish = { dir, inode, want, 0 };

	return places ? place_small(fs, places, &wish, out) : -ENOMEM;
}

static int place_other(struct cffs *fs, struct cffs_places *places, const struct wish *wish,
		       bool data, struct xn_extent *out)
{
	int err;

	pthread_mutex_lock(&places->lock);
	if (data)
		err = place_large(fs, places, wish->inode, wish->want, out);
	else if (fs->params.options & CFFS_O_NO_GROUP)
		err = place_anywhere(fs, wish->dir, wish->inode, wish->want, out);
	else
		err = place_in_dirs(fs, places, wish->want, out);
	pthread_mutex_unlock(&places->lock);
	return err;
}

int cffs_place(struct cffs *fs, struct cffs_inode *dir, struct cffs_inode *inode, uint64_t logical,
	       uint64_t want, uint32_t type, struct xn_extent *out)
{
	struct cffs_places *places = places_of(fs);
	struct wish wish = { dir, inode, want < CFFS_SLOT_COUNT_MAX ? want : CFFS_SLOT_COUNT_MAX,
			     0 };
	bool data = type == XN_DATA || type == XN_RESERVED;
	xn_blk_t next;
	int err = 0;

	if (!places)
		return -ENOMEM;
	next = type == fs->type[CFFS_T_EXT] ? 0 : continuation(fs, inode, logical);
	if (next && find_here(fs, next, wish.want, out))
		; /* where it ends */
	else if (data && inode->b.blocks + want <= CFFS_SMALL)
		err = place_small(fs, places, &wish, out);
	else
		err = place_other(fs, places, &wish, data, out);
	out->type = type;
	out->reserved = 0;
	return err;
}
