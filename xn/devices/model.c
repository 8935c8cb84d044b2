/* SPDX-License-Identifier: MIT */
/*
 * A device that counts what a drive would be asked, and says how long that drive
 * would take.
 *
 *  (1) Time is virtual and counted in nanoseconds: the same requests in the same
 *      submissions take the same time on every machine.
 *  (2) What is submitted together is sorted by place, neighbours of one kind become
 *      one request, and none is larger than the stated maximum: what the drive sees
 *      is counted, not what was submitted.  A flush stands where it was submitted.
 *  (3) Sectors lie on tracks, tracks in cylinders, cylinders in zones, outside first,
 *      and a track begins just where the head is ready when the one before ends.  So
 *      one number, the time that reading everything before a sector takes, is its
 *      place on the disk and its angle.
 *  (4) A request costs: overhead, seek, the wait for its angle, transfer.  Reading on
 *      where the last read ended costs no more than the drive's own reading ahead.
 *      With a write cache, writes cost what their transfer does, and a flush what it
 *      takes to bring them to their places in one sweep.
 *  (5) A drive without arms (rpm 0) serves `depth` requests at a time.
 *
 * Parked requests do not exist: a submission is served whole before the next.
 */
#include "device.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ZONES_MAX 32u

struct zone {
	uint64_t first_lba, first_cylinder;
	uint64_t start;   /* ns: all that lies before it, read in one go */
	uint32_t sectors; /* of a track */
};

/* A run of sectors that the drive is asked for. */
struct piece {
	enum bdev_op op;
	uint64_t lba, sectors;
	bool now; /* not to be kept in the write cache */
};

struct pieces {
	struct piece *v;
	size_t n, cap;
};

struct model {
	struct stacked stacked;
	struct bdev_model drive;
	uint64_t period, capacity; /* ns of a turn; sectors */
	struct zone zones[ZONES_MAX + 1];

	pthread_mutex_t mutex;
	uint64_t now;
	uint64_t cylinder, head, next_lba, idle_since;
	bool reading;        /* next_lba is where a read ended */
	struct pieces cache; /* written, not yet in place */
	uint64_t cached_bytes;
	bool unflushed;
	struct bdev_model_result result;
};

struct place {
	uint64_t cylinder, head;
	uint64_t at;        /* ns, as in zone.start */
	uint64_t sector_ns; /* to pass one sector */
};

/* ---- geometry ---- */

static uint64_t isqrt(uint64_t value)
{
	uint64_t root = 0;

	for (uint64_t bit = 1ull << 31; bit; bit >>= 1)
		if ((root + bit) * (root + bit) <= value)
			root += bit;
	return root;
}

/* The usual two pieces: by the root of the distance up to a third of the disk, then linear. */
static uint64_t seek_ns(const struct bdev_model *drive, uint64_t distance)
{
	uint64_t third = drive->cylinders / 3, share;

	if (distance == 0)
		return 0;
	if (distance >= third)
		return drive->seek_average_ns + (drive->seek_full_ns - drive->seek_average_ns) *
							(distance - third) /
							(drive->cylinders - third);
	share = isqrt(((distance - 1) << 32) / (third - 1));
	return drive->seek_track_ns +
	       ((drive->seek_average_ns - drive->seek_track_ns) * share >> 16);
}

static uint64_t track_ns(const struct model *model)
{
	return model->period + model->drive.head_switch_ns;
}

/* All tracks of a cylinder, and the step to the next. */
static uint64_t cylinder_ns(const struct model *model)
{
	return model->drive.heads * track_ns(model) - model->drive.head_switch_ns +
	       model->drive.seek_track_ns;
}

static struct place place_of(const struct model *model, uint64_t lba)
{
	const struct zone *zone = model->zones;
	uint64_t track, sector;
	struct place place;

	while (zone[1].sectors && lba >= zone[1].first_lba)
		zone++;
	track = (lba - zone->first_lba) / zone->sectors;
	sector = (lba - zone->first_lba) % zone->sectors;
	place.cylinder = zone->first_cylinder + track / model->drive.heads;
	place.head = track % model->drive.heads;
	place.at = zone->start + track / model->drive.heads * cylinder_ns(model) +
		   place.head * track_ns(model) + sector * model->period / zone->sectors;
	place.sector_ns = model->period / zone->sectors;
	return place;
}

/* From the first sector's beginning to the last one's end. */
static uint64_t passing_ns(const struct model *model, const struct piece *piece)
{
	struct place last = place_of(model, piece->lba + piece->sectors - 1);

	return last.at + last.sector_ns - place_of(model, piece->lba).at;
}

static int geometry_init(struct model *model)
{
	const struct bdev_model *drive = &model->drive;
	uint64_t cylinders = 0, lba = 0, start = 0;

	if (!drive->rpm)
		return drive->depth && drive->read_bytes_s && drive->write_bytes_s ? 0 : -EINVAL;
	if (!drive->heads || !drive->zones || drive->zones > ZONES_MAX ||
	    drive->cylinders < drive->zones || drive->cylinders < 6 || !drive->inner_sectors ||
	    drive->outer_sectors < drive->inner_sectors || !drive->bus_bytes_s)
		return -EINVAL;
	model->period = 60000000000ull / drive->rpm;
	for (uint32_t i = 0; i < drive->zones; i++) {
		uint64_t end = drive->cylinders * (i + 1) / drive->zones;
		uint32_t less = drive->zones > 1 ? (drive->outer_sectors - drive->inner_sectors) *
							   i / (drive->zones - 1)
						 : 0;

		model->zones[i] =
			(struct zone){ lba, cylinders, start, drive->outer_sectors - less };
		lba += (end - cylinders) * drive->heads * model->zones[i].sectors;
		start += (end - cylinders) * cylinder_ns(model);
		cylinders = end;
	}
	model->capacity = lba;
	return 0;
}

/* ---- what the drive does ---- */

static void spend(struct model *model, uint64_t *account, uint64_t ns)
{
	model->now += ns;
	*account += ns;
}

static unsigned size_class(uint64_t bytes)
{
	unsigned class = 0;

	while (class + 1 < BDEV_MODEL_CLASSES && bytes > 512ull << class)
		class ++;
	return class;
}

static void piece_count(struct model *model, const struct piece *piece)
{
	struct bdev_model_result *result = &model->result;
	uint64_t bytes = piece->sectors * BDEV_SECTOR;

	switch (piece->op) {
	case BDEV_READ:
		result->reads++;
		result->read_bytes += bytes;
		result->read_class[size_class(bytes)]++;
		break;
	default:
		result->writes++;
		result->written_bytes += bytes;
		result->write_class[size_class(bytes)]++;
	}
}

static uint64_t transfer_ns(uint64_t sectors, uint64_t bytes_s)
{
	return (uint64_t)((__uint128_t)sectors * BDEV_SECTOR * 1000000000 / bytes_s);
}

/* The drive went on reading while nobody asked. */
static void read_on(struct model *model, const struct piece *piece)
{
	struct bdev_model_result *result = &model->result;
	uint64_t need = passing_ns(model, piece);
	uint64_t bus = transfer_ns(piece->sectors, model->drive.bus_bytes_s);
	uint64_t ahead = model->now - model->idle_since;
	uint64_t left = ahead < need ? need - ahead : 0;

	spend(model, &result->transfer_ns, left > bus ? left : bus);
}

static void arm_move(struct model *model, const struct place *place)
{
	struct bdev_model_result *result = &model->result;
	uint64_t distance = place->cylinder > model->cylinder ? place->cylinder - model->cylinder
							      : model->cylinder - place->cylinder;
	uint64_t wait;

	if (distance) {
		result->seeks++;
		spend(model, &result->seek_ns, seek_ns(&model->drive, distance));
	} else if (place->head != model->head) {
		spend(model, &result->seek_ns, model->drive.head_switch_ns);
	}
	wait = (place->at % model->period + model->period - model->now % model->period) %
	       model->period;
	spend(model, &result->rotation_ns, wait);
}

/* Bring the sectors to, or from, the medium. */
static void medium_serve(struct model *model, const struct piece *piece)
{
	struct place from = place_of(model, piece->lba);
	struct place to = place_of(model, piece->lba + piece->sectors - 1);

	if (piece->op == BDEV_READ && model->reading && piece->lba == model->next_lba) {
		read_on(model, piece);
	} else {
		arm_move(model, &from);
		spend(model, &model->result.transfer_ns, passing_ns(model, piece));
	}
	model->cylinder = to.cylinder;
	model->head = to.head;
	model->next_lba = piece->lba + piece->sectors;
	model->reading = piece->op == BDEV_READ;
	model->idle_since = model->now;
}

static int by_place(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	return x->lba < y->lba ? -1 : x->lba > y->lba;
}

/* Neighbours and overlapping pieces of one kind become one, up to `max` sectors; sorted. */
static void pieces_merge(struct pieces *pieces, uint64_t max)
{
	size_t kept = 0;

	if (pieces->n)
		qsort(pieces->v, pieces->n, sizeof(*pieces->v), by_place);
	for (size_t i = 0; i < pieces->n; i++) {
		struct piece *last = kept ? &pieces->v[kept - 1] : NULL;
		struct piece piece = pieces->v[i];
		uint64_t end = piece.lba + piece.sectors;

		if (last && last->op == piece.op && last->now == piece.now &&
		    piece.lba <= last->lba + last->sectors && end - last->lba <= max) {
			if (end > last->lba + last->sectors)
				last->sectors = end - last->lba;
			continue;
		}
		pieces->v[kept++] = piece;
	}
	pieces->n = kept;
}

static int piece_add(struct pieces *pieces, struct piece piece)
{
	if (pieces->n == pieces->cap) {
		size_t cap = pieces->cap ? pieces->cap * 2 : 64;
		struct piece *v = realloc(pieces->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		pieces->v = v;
		pieces->cap = cap;
	}
	pieces->v[pieces->n++] = piece;
	return 0;
}

/* All that the write cache holds goes to its place, in one sweep from the outside in. */
static void cache_empty(struct model *model)
{
	pieces_merge(&model->cache, UINT64_MAX);
	for (size_t i = 0; i < model->cache.n; i++)
		medium_serve(model, &model->cache.v[i]);
	model->cache.n = 0;
	model->cached_bytes = 0;
}

static void disk_serve(struct model *model, const struct piece *piece)
{
	struct bdev_model_result *result = &model->result;
	uint64_t bytes = piece->sectors * BDEV_SECTOR;

	spend(model, &result->overhead_ns, model->drive.overhead_ns);
	if (piece->op == BDEV_READ || !model->drive.cache_bytes || piece->now) {
		medium_serve(model, piece);
		return;
	}
	if (model->cached_bytes + bytes > model->drive.cache_bytes ||
	    piece_add(&model->cache, *piece))
		cache_empty(model);
	else
		model->cached_bytes += bytes;
	spend(model, &result->transfer_ns, transfer_ns(piece->sectors, model->drive.bus_bytes_s));
}

/* `count` requests of a drive without arms, which serves some of them at a time. */
static void flash_serve(struct model *model, const struct piece *pieces, size_t count)
{
	struct bdev_model_result *result = &model->result;
	const struct bdev_model *drive = &model->drive;
	uint64_t turns = (count + drive->depth - 1) / drive->depth, slowest = 0;

	for (size_t i = 0; i < count; i++) {
		bool read = pieces[i].op == BDEV_READ;
		uint64_t latency = read ? drive->read_ns : drive->write_ns;

		slowest = latency > slowest ? latency : slowest;
		spend(model, &result->transfer_ns,
		      transfer_ns(pieces[i].sectors,
				  read ? drive->read_bytes_s : drive->write_bytes_s));
	}
	spend(model, &result->overhead_ns, turns * slowest);
}

static void flush_serve(struct model *model)
{
	struct bdev_model_result *result = &model->result;
	uint64_t start = model->now;

	result->flushes++;
	if (!model->unflushed)
		return;
	model->unflushed = false;
	cache_empty(model);
	spend(model, &result->flush_own_ns, model->drive.flush_ns);
	result->flush_ns += model->now - start;
}

/* ---- a submission ---- */

/* Cut to the largest request that the drive takes. */
static int pieces_cut(struct pieces *pieces, const struct piece *piece, uint64_t max)
{
	int err = 0;

	for (uint64_t done = 0; done < piece->sectors && !err; done += max) {
		struct piece part = *piece;

		part.lba += done;
		part.sectors = piece->sectors - done < max ? piece->sectors - done : max;
		err = piece_add(pieces, part);
	}
	return err;
}

static void pieces_serve(struct model *model, struct pieces *asked)
{
	uint64_t max = model->drive.request_max / BDEV_SECTOR;
	struct pieces cut = { 0 };
	int err = 0;

	pieces_merge(asked, UINT64_MAX);
	for (size_t i = 0; i < asked->n && !err; i++)
		err = pieces_cut(&cut, &asked->v[i], max);
	for (size_t i = 0; i < cut.n; i++) {
		piece_count(model, &cut.v[i]);
		model->unflushed |= cut.v[i].op != BDEV_READ && !cut.v[i].now;
		if (model->drive.rpm)
			disk_serve(model, &cut.v[i]);
	}
	if (!model->drive.rpm && cut.n)
		flash_serve(model, cut.v, cut.n);
	model->result.unmodelled += err ? 1 : 0;
	free(cut.v);
	asked->n = 0;
}

/* Mutex held. */
static void submission_serve(struct model *model, struct bdev_request *requests[], size_t count)
{
	struct pieces asked = { 0 };

	for (size_t i = 0; i < count; i++) {
		const struct bdev_request *request = requests[i];
		struct piece piece = { request->op, request->offset / BDEV_SECTOR,
				       request->len / BDEV_SECTOR,
				       (request->flags & BDEV_FUA) != 0 };

		model->result.submitted++;
		if (request->op == BDEV_FLUSH) {
			pieces_serve(model, &asked);
			flush_serve(model);
		} else if (request->op == BDEV_READ || request->op == BDEV_WRITE) {
			if (piece_add(&asked, piece))
				model->result.unmodelled++;
		} else {
			model->result.discards++; /* a command without data */
			spend(model, &model->result.overhead_ns, model->drive.overhead_ns);
		}
	}
	pieces_serve(model, &asked);
	free(asked.v);
}

static void model_submit(struct bdev_queue *base, struct bdev_request *requests[], size_t count)
{
	struct model *model = (struct model *)base->dev;

	pthread_mutex_lock(&model->mutex);
	submission_serve(model, requests, count);
	pthread_mutex_unlock(&model->mutex);
	bdev_submit(((struct stacked_queue *)base)->below, requests, count);
}

static size_t model_wait(struct bdev_queue *queue, struct bdev_request *done[], size_t max,
			 size_t min)
{
	return bdev_wait(((struct stacked_queue *)queue)->below, done, max, min);
}

/* ---- the table ---- */

static int model_queue_create(struct bdev *dev, struct bdev_queue **out)
{
	struct stacked_queue *queue = calloc(1, sizeof(*queue));
	int err;

	if (!queue)
		return -ENOMEM;
	err = bdev_queue_create(((struct model *)dev)->stacked.below, &queue->below);
	if (err) {
		free(queue);
		return err;
	}
	*out = &queue->queue;
	return 0;
}

static void model_queue_destroy(struct bdev_queue *queue)
{
	bdev_queue_destroy(((struct stacked_queue *)queue)->below);
	free(queue);
}

/* A device that grows may outgrow the drive. */
static int model_resize(struct bdev *dev, uint64_t size)
{
	const struct model *model = (struct model *)dev;

	if (model->capacity && size / BDEV_SECTOR > model->capacity)
		return -ENOSPC;
	return stacked_resize(dev, size);
}

static void model_close(struct bdev *dev)
{
	struct model *model = (struct model *)dev;

	bdev_close(model->stacked.below);
	pthread_mutex_destroy(&model->mutex);
	free(model->cache.v);
	free(model);
}

static const struct bdev_ops model_ops = {
	.name = "model",
	.close = model_close,
	.lock = stacked_lock,
	.info = stacked_info,
	.resize = model_resize,
	.queue_create = model_queue_create,
	.queue_destroy = model_queue_destroy,
	.submit = model_submit,
	.wait = model_wait,
};

/* ---- drives ---- */

static const struct bdev_model drives[] = {
	/*
	 * Of the class of the Quantum Atlas XP32150, 1996: 2.15 GB, 7200 rpm, 8.6 ms on
	 * average, Fast SCSI-2, no write cache in use.  Round figures of that class; the geometry
	 * is one that gives its capacity and 5 to 8 MB/s from the inner to the outer zone.
	 */
	{
		.name = "atlas1996",
		.request_max = 64u << 10,
		.overhead_ns = 500000,
		.rpm = 7200,
		.cylinders = 3832,
		.heads = 10,
		.zones = 10,
		.outer_sectors = 135,
		.inner_sectors = 86,
		.seek_track_ns = 1000000,
		.seek_average_ns = 8600000,
		.seek_full_ns = 19000000,
		.head_switch_ns = 800000,
		.bus_bytes_s = 10000000,
	},
	/*
	 * A 3.5-inch SATA disk of 4 TB as sold around 2020: 7200 rpm, 8.5 ms on average, about
	 * 210 to 100 MB/s, 64 MiB of cache that is used for writing.
	 */
	{
		.name = "sata7200",
		.request_max = 1u << 20,
		.overhead_ns = 100000,
		.rpm = 7200,
		.cylinders = 390000,
		.heads = 8,
		.zones = 20,
		.outer_sectors = 3450,
		.inner_sectors = 1650,
		.seek_track_ns = 1000000,
		.seek_average_ns = 8500000,
		.seek_full_ns = 18000000,
		.head_switch_ns = 800000,
		.bus_bytes_s = 550000000,
		.cache_bytes = 64u << 20,
	},
	/*
	 * An NVMe drive of the consumer class on four lanes of PCIe 3, without power-loss
	 * protection: a flush programs flash.
	 */
	{
		.name = "nvme",
		.request_max = 1u << 20,
		.depth = 32,
		.read_ns = 80000,
		.write_ns = 20000,
		.read_bytes_s = 3200000000,
		.write_bytes_s = 1800000000,
		.flush_ns = 600000,
	},
};

const struct bdev_model *bdev_model_find(const char *name)
{
	for (size_t i = 0; i < sizeof(drives) / sizeof(drives[0]); i++)
		if (!strcmp(drives[i].name, name))
			return &drives[i];
	return NULL;
}

/* ---- its own functions ---- */

int bdev_model_create(struct bdev *below, const struct bdev_model *drive, struct bdev **out)
{
	struct model *model = calloc(1, sizeof(*model));
	struct bdev_info info;
	int err;

	if (!model)
		return -ENOMEM;
	model->drive = *drive;
	err = drive->request_max < BDEV_SECTOR || drive->request_max % BDEV_SECTOR
		      ? -EINVAL
		      : geometry_init(model);
	bdev_info(below, &info);
	if (!err && model->capacity && info.size / BDEV_SECTOR > model->capacity)
		err = -ENOSPC;
	if (err) {
		free(model);
		return err;
	}
	model->stacked.bdev.ops = &model_ops;
	model->stacked.below = below;
	pthread_mutex_init(&model->mutex, NULL);
	*out = &model->stacked.bdev;
	return 0;
}

void bdev_model_result(struct bdev *dev, struct bdev_model_result *result)
{
	struct model *model = (struct model *)dev;

	pthread_mutex_lock(&model->mutex);
	*result = model->result;
	result->time_ns = result->overhead_ns + result->seek_ns + result->rotation_ns +
			  result->transfer_ns + result->flush_own_ns;
	pthread_mutex_unlock(&model->mutex);
}

void bdev_model_reset(struct bdev *dev)
{
	struct model *model = (struct model *)dev;

	pthread_mutex_lock(&model->mutex);
	memset(&model->result, 0, sizeof(model->result));
	pthread_mutex_unlock(&model->mutex);
}

void bdev_model_pause(struct bdev *dev, uint64_t ns)
{
	struct model *model = (struct model *)dev;

	pthread_mutex_lock(&model->mutex);
	model->now += ns;
	pthread_mutex_unlock(&model->mutex);
}
