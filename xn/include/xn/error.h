/* SPDX-License-Identifier: MIT */
/*
 * Every refusal of XN, by name.
 *
 * Functions of XN return zero (or a stated non-negative value) or a negative
 * number: one of these constants, or -errno where POSIX already has the exact
 * word (-EINVAL, -ERANGE, -ENOMEM, -EIO, -ENOSYS, ...).  xn_errno() maps both to
 * a positive errno for hosts that need one.
 */
#ifndef XN_ERROR_H
#define XN_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/*        name             errno      sentence */
#define XN_ERRORS(X)                                                                          \
	/* opening a disk */                                                                  \
	X(XN_EFOREIGN, EMEDIUMTYPE, "not an XN disk")                                         \
	X(XN_EVERSION, EPROTONOSUPPORT, "disk format is newer than this program")             \
	X(XN_EDAMAGED, EUCLEAN, "structure on the disk is damaged; run xn-fsck")              \
	X(XN_ETRUNCATED, EUCLEAN, "disk is smaller than its superblock says")                 \
	X(XN_EHELD, EBUSY, "disk is in use by another process")                               \
	X(XN_EREADONLY, EROFS, "disk is open read-only")                                      \
	X(XN_EEXISTING, EEXIST, "target already holds data; use force to overwrite it")       \
	X(XN_ESIZE, EINVAL, "disk size is out of range")                                      \
	/* who asks */                                                                        \
	X(XN_ESTALE, ESTALE, "session or binding is no longer valid")                         \
	X(XN_EACL, EACCES, "the object's acl function denies it")                             \
	X(XN_ECRED, EPERM, "session may not use these credentials or do this")                \
	X(XN_ENOTBOUND, EACCES, "session holds no binding that allows this")                  \
	/* what is asked */                                                                   \
	X(XN_ENOROOT, ENOENT, "no root of that name")                                         \
	X(XN_EROOTEXISTS, EEXIST, "a root of that name exists")                               \
	X(XN_ENOTEMPLATE, ENOENT, "no such template")                                         \
	X(XN_ETEMPLATE, EINVAL, "template image is refused")                                  \
	X(XN_EFULLCATALOGUE, ENOSPC, "catalogue is full")                                     \
	X(XN_EINUSE, EBUSY, "something still uses it")                                        \
	X(XN_ENOTOWNER, EACCES, "that record does not own that extent")                       \
	X(XN_ETYPE, EINVAL, "block has another type")                                         \
	X(XN_ENOTOBJECT, EINVAL, "block is not the first of a known object")                  \
	/* the ownership law */                                                               \
	X(XN_EOWNS, EACCES, "update changes other pointers than it declares")                 \
	X(XN_EOVERLAP, EINVAL, "extents or edits overlap")                                    \
	X(XN_ENOTFREE, EBUSY, "block is in use or waits to become free")                      \
	X(XN_ENOTEMPTY, EBUSY, "object still owns blocks; empty it or use XN_REAP")           \
	X(XN_ECHANGED, EAGAIN, "object changed since the version that was expected")          \
	X(XN_EFAULT, EACCES, "a template's function faulted")                                 \
	X(XN_EFUEL, E2BIG, "operation needs more fuel than one may spend")                    \
	X(XN_ETOOBIG, E2BIG, "update exceeds a bound")                                        \
	X(XN_ECHECK, EUCLEAN, "object is damaged: its template's check refuses it")           \
	X(XN_EOBJDAMAGED, EUCLEAN, "object is marked damaged and read-only")                  \
	/* resources */                                                                       \
	X(XN_ENOSPACE, ENOSPC, "no free blocks")                                              \
	X(XN_EINWAY, EBUSY, "blocks in use are in the way")                                   \
	X(XN_EQUOTA, EDQUOT, "root's quota is used up")                                       \
	X(XN_ECACHEFULL, ENOBUFS, "cache is full of pinned or dirty pages; write back first") \
	X(XN_ENOTCACHED, EAGAIN, "not in the cache; read it in first")                        \
	X(XN_EALLOWANCE, EDQUOT, "principal's allowance is used up")                          \
	X(XN_ELOGFULL, EAGAIN, "intent log is full; write back first")                        \
	/* order */                                                                           \
	X(XN_ETAINTED, EBUSY, "block points at one not yet on disk; see xn_blockers")         \
	X(XN_ECYCLE, EBUSY, "it would hang below itself, or wait for itself")                 \
	X(XN_EUNINIT, EINVAL, "first write of a new block must cover all of it")              \
	/* devices */                                                                         \
	X(XN_EIO, EIO, "device failed the request")                                           \
	X(XN_EUNKNOWN, EIO, "outcome of a device request is unknown; reopen the disk")        \
	X(XN_EFENCED, ESTALE, "another writer has opened the disk since; reopen it")

enum {
	XN_ERROR_FIRST = -2000,
#define X(name, number, text) name##_INDEX_, /* dense: XN_EFOREIGN_INDEX_ = -1999 ... */
	XN_ERRORS(X)
#undef X
		XN_ERROR_END
};

/* The constants themselves, counting down from -2001. */
enum {
#define X(name, number, text) name = 2 * XN_ERROR_FIRST - (name##_INDEX_),
	XN_ERRORS(X)
#undef X
};

/* Name ("XN_ENOTFREE", "EINVAL") of a negative return value; never NULL. */
const char *xn_error_name(int error);

/* One sentence for people; never NULL. */
const char *xn_strerror(int error);

/* Positive errno for a negative return value; 0 for values >= 0. */
int xn_errno(int error);

#ifdef __cplusplus
}
#endif

#endif
