/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the checking device share.
 *
 *   check.c        the device: requests, what is done, what is stable
 *   check_claim.c  blocks, who names them, and the rules about that
 *   check_tree.c   objects of the trees: owns, run on what changes
 *   check_disk.c   superblock, maps, catalogues; reading a disk from its start
 *   check_log.c    the intent log
 *
 * Words.  A *write* is one request.  An *atom* is what of it is on the medium whole or
 * not at all, and changes who names what: one sector, or one record of the log.  A *claim* is one block named by
 * one record of one object in some version that is, or may be, on the medium; it is
 * *dropped* by the atom whose bytes no longer name the block, and ends when that atom
 * is stable.  So a claim without `dropped` is what the newest bytes say, and all claims
 * together are what a crash at this moment may leave.
 */
#ifndef XN_DEVICES_CHECK_H
#define XN_DEVICES_CHECK_H

#include <pthread.h>
#include <sys/queue.h>

#include "device.h"
#include "udf/udf.h"
#include "xn/format.h"
#include "xn/log_format.h"

#define TYPE_OWN    0xffffffffu /* XN's: images and catalogue blocks */
#define TEXT_BYTES  4096u
#define OBJ_SECTORS (UDF_OBJECT_MAX / BDEV_SECTOR)

struct checker;
struct object;
struct atom;

/* ---- blocks ---- */

struct claim {
	struct claim *next; /* of the same block */
	struct object *owner;
	struct atom *dropped; /* NULL: the newest bytes name it */
	uint64_t block;
	uint32_t record, type;
	LIST_ENTRY(claim) of_owner, of_atom;
};
LIST_HEAD(claim_list, claim);

enum block_state {
	BLOCK_NEVER = 0, /* not written since we look, and named by nobody */
	BLOCK_GIVEN,     /* was named, is no more, and was not written since */
	BLOCK_PENDING,   /* written whole, not yet stable */
	BLOCK_STABLE,    /* written whole since it was last unnamed, and flushed */
};

struct block {
	struct claim *claims;
	struct object *object; /* the object that this block is a part of */
	uint32_t pending;      /* PENDING: the write it waits for */
	uint32_t last;         /* the last write */
	uint8_t state;
};

struct chunk {
	uint64_t index;
	uint8_t fixed[XN_MAP_CHUNK_BYTES];  /* what a never-used chunk has in use */
	uint8_t stable[XN_MAP_CHUNK_BYTES]; /* the map as it is on the medium for good */
	uint8_t newest[XN_MAP_CHUNK_BYTES]; /* as it was last written */
	uint8_t all[XN_MAP_CHUNK_BYTES];    /* in use in every version that may be there */
	struct block blocks[XN_CHUNK_BLOCKS];
};

/* ---- objects ---- */

struct type {
	struct udf_template *tmpl;
	const struct udf_info *info;
	uint32_t blocks;
	uint32_t child[UDF_CHILDREN_MAX];
};

enum object_kind {
	OBJECT_TREE,      /* metadata below a root */
	OBJECT_CATALOGUE, /* no place: the entries and links of one kind */
	OBJECT_CHAIN,     /* one block of a catalogue, or its twin */
};

struct object {
	enum object_kind kind;
	uint64_t start;
	uint32_t blocks;
	uint32_t type_id;
	const struct type *type;
	uint8_t *bytes;            /* TREE: as last written */
	unsigned catalogue, index; /* CATALOGUE, CHAIN */
	struct claim_list claims;  /* by its records */
	STAILQ_ENTRY(object) to_scan, to_end;
	struct atom *by; /* what named it, while it waits to be scanned */
	bool unscanned, ending;
};
STAILQ_HEAD(object_list, object);

/* What an entry or a link of a catalogue names. */
struct named {
	uint64_t start, count;
	uint32_t type;
};

struct chain_block {
	uint64_t self, twin, link_seq, next, next_twin;
	uint64_t seq[XN_CAT_ENTRIES_BLOCK]; /* + 1; 0: none */
	struct named named[XN_CAT_ENTRIES_BLOCK];
};

struct chain {
	struct object *object; /* OBJECT_CATALOGUE */
	struct chain_block *v;
	unsigned n;
};

/* ---- the log ---- */

/* What a counting record says of a sector. */
struct logged {
	struct logged *next; /* in its bucket, the newest of a sector first */
	uint64_t sector;
	struct record *record;
	bool home_stable;    /* so it is at home, too */
	uint32_t home_write; /* or will be by this write; 0: none */
	uint8_t bytes[BDEV_SECTOR];
};

struct record {
	TAILQ_ENTRY(record) link; /* in their order */
	uint64_t seq;
	size_t at; /* in the area */
	bool stable;
	uint32_t n_homes, n_claims;
	uint64_t *homes;
	struct xn_log_claim *claims;
};
TAILQ_HEAD(record_list, record);

struct checker_log {
	uint8_t *area;  /* as last written; NULL: none */
	size_t len, at; /* without the second tail; where the next record begins */
	struct xn_log_tail tail, expect;
	struct record_list records; /* that count, in some version of the tail */
	struct logged **buckets;
};

/* ---- writes ---- */

/* What an atom changes apart from claims. */
enum atom_kind { ATOM_CLAIMS, ATOM_MAP, ATOM_SUPER, ATOM_RECORD, ATOM_TAIL };

struct atom {
	TAILQ_ENTRY(atom) link;
	struct write *write;
	uint64_t sector; /* of the disk */
	enum atom_kind kind;
	struct claim_list dropped;
	union {
		struct {
			struct chunk *chunk;
			unsigned index;
			uint8_t bits[XN_MAP_SECTOR_BITS / 8];
		} map;
		struct xn_super super;
		struct record *record;
		uint64_t tail_seq;
	};
};
TAILQ_HEAD(atom_list, atom);

struct write {
	TAILQ_ENTRY(write) link;            /* in the order of submission */
	const struct bdev_request *request; /* NULL: completed */
	uint64_t offset, len;
	uint32_t number;
	bool done, failed;
	bool ignored; /* of a disk that is no longer looked at */
	uint64_t done_tick;
	struct atom_list atoms;
};
TAILQ_HEAD(write_list, write);

enum checker_state {
	CHECKER_STALE,   /* the medium is read at the next write */
	CHECKER_FOREIGN, /* no XN disk: wait for a superblock */
	CHECKER_LOADED,
};

struct checker {
	struct stacked stacked;
	pthread_mutex_t mutex;
	enum checker_state state;
	bool adopting; /* what is on the medium is taken as it is */

	struct xn_super super;        /* as last written */
	struct xn_super super_stable; /* as on the medium for good */
	uint64_t places[3];
	unsigned n_places;
	struct chunk **chunks;
	uint64_t n_chunks;
	struct type **types; /* by id - XN_TYPE_FIRST */
	size_t n_types;
	struct chain chains[XN_CAT_KINDS];
	struct checker_log log;

	struct write_list writes; /* not yet stable */
	size_t n_failed;
	uint32_t numbers;
	uint64_t tick;
	struct object_list to_scan, to_end;

	uint64_t counts[BDEV_CHECK_RULES];
	char text[TEXT_BYTES];
	size_t text_len;
};

/* A checker that forgets is silent about what it forgot: it ends the program instead. */
void *ck_need(void *memory);

/* ---- check.c ---- */
void ck_violation(struct checker *checker, enum bdev_check_rule rule, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Bytes as last written, also by requests in flight. */
int ck_newest_read(struct checker *checker, uint64_t offset, void *bytes, size_t len);
/* Put over `bytes` what the request writes of them. */
void ck_write_overlay(const struct write *write, uint64_t offset, void *bytes, size_t len);
struct atom *ck_atom_get(struct write *write, uint64_t sector);

/* ---- check_claim.c ---- */
struct block *ck_block_get(struct checker *checker, uint64_t block);
struct chunk *ck_chunk_get(struct checker *checker, uint64_t index);
bool ck_inside(const struct checker *checker, uint64_t start, uint64_t count);
/*
 * `owner` names these blocks as of `atom`, or no more (NULL: while adopting).  Objects that come
 * to be named wait for ck_claims_settle().
 */
void ck_claim_add(struct checker *checker, struct object *owner, uint32_t record,
		  const struct named *named, struct atom *atom);
void ck_claim_drop(struct checker *checker, struct object *owner, uint32_t record,
		   const struct named *named, struct atom *atom);
void ck_claims_settle(struct checker *checker);
void ck_dropped_end(struct checker *checker, struct atom *atom);
/* Somebody wrote these bytes of a block that is no structure of XN's. */
void ck_block_written(struct checker *checker, uint64_t block, bool whole, struct write *write);

/* ---- check_tree.c ---- */
void ck_object_name(const struct object *object, uint32_t record, char *text, size_t size);
struct object *ck_object_new(enum object_kind kind, uint64_t start, uint32_t blocks);
void ck_object_free(struct object *object);
const struct type *ck_type_find(const struct checker *checker, uint32_t id);
int ck_type_load(struct checker *checker, const struct xn_template_entry *entry);
void ck_types_free(struct checker *checker);
/* Read an object that has just come to be named, and claim what it names. */
void ck_object_scan(struct checker *checker, struct object *object);
/* The part of `write` that lies in the object. */
void ck_object_written(struct checker *checker, struct object *object, struct write *write);

/* Names that a write or a record brings, kept until all it takes away is dropped. */
struct changes {
	struct change *v;
	size_t n, cap;
};
/* The object as counting records say; all in one atom. */
void ck_object_logged(struct checker *checker, struct object *object, struct atom *atom,
		      struct changes *changes);
void ck_changes_end(struct checker *checker, struct changes *changes);

/* ---- check_disk.c ---- */
void ck_disk_load(struct checker *checker);
void ck_disk_forget(struct checker *checker);
bool ck_super_is_there(struct checker *checker); /* at block 0, not a copy */
bool ck_is_super_place(const struct checker *checker, uint64_t block);
void ck_super_written(struct checker *checker, uint64_t block, const uint8_t *bytes,
		      unsigned sectors, struct write *write);
/* `sectors`: a bit for each sector of the block that is written. */
void ck_map_written(struct checker *checker, uint64_t chunk, const uint8_t *bytes, unsigned sectors,
		    struct write *write);
void ck_chain_written(struct checker *checker, struct object *object, const uint8_t *bytes,
		      unsigned sectors, struct write *write);
void ck_map_stable(struct checker *checker, struct atom *atom);
void ck_super_stable(struct checker *checker, struct atom *atom);
bool ck_map_shows(struct checker *checker, uint64_t block);

/* ---- check_log.c ---- */
void ck_log_load(struct checker *checker);
void ck_log_forget(struct checker *checker);
bool ck_in_log(const struct checker *checker, uint64_t block);
/* Put what the log says of the sector over `bytes`, if it says something. */
bool ck_log_overlay(const struct checker *checker, uint64_t sector, void *bytes);
/* May this atom's names count on the log: for the block's content, for the map? */
bool ck_log_writes(const struct checker *checker, const struct atom *atom, uint64_t block);
bool ck_log_shows(const struct checker *checker, const struct atom *atom, uint64_t block);
void ck_log_written(struct checker *checker, struct write *write);
/* Check those of the written sectors that counting records hold; returns which. */
unsigned ck_homes_written(struct checker *checker, uint64_t block, unsigned sectors,
			  const struct write *write);
void ck_homes_stable(struct checker *checker, const struct write *write);
void ck_record_stable(struct checker *checker, struct atom *atom);
void ck_tail_stable(struct checker *checker, struct atom *atom);

#endif
