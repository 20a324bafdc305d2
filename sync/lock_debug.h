/* What debug builds know of locks: who holds which, locked where, and in what order. Public: skua/lock_debug.h. In
 * release builds, and in the model tests, all of this is nothing.
 *
 * A lock tells in this order, for the flow that calls:
 *   place      at the entry of each public call, before anything can wait
 *   wants      before an acquisition that may wait: an error is what the call returns
 *   acquired   it has it, without having waited
 *   waits      under the lock's own short lock, before the op is linked: from then on op->result is the debugger's
 *              until the op is done, and before it is the place
 *   granted    by whoever gives it to an op that waits, before the op is finished
 *   gave_up    the op was withdrawn
 *   releases   before it is left. False: it was not the caller's; that has been reported, and nothing is to be done
 */
#ifndef SKUAI_LOCK_DEBUG_H
#define SKUAI_LOCK_DEBUG_H

#include "sched/op.h"
#include "skua/lock_debug.h"

enum skuai_lock_mode { SKUAI_LOCK_EXCLUSIVE, SKUAI_LOCK_SHARED };

/* Where a lock was called: a text or a code address, shifted by one, with a mark. 0: not known. */
typedef int64_t skuai_place;

enum { SKUAI_WHERE_BYTES = 160 };

#if defined(SKUAI_DEBUG) && !defined(SKUAI_MODEL)

skuai_place skuai_lock_debug_place(const void *return_address);
enum { SKUAI_LOCK_WATCHED = 1 }; /* there are no shortcuts */
#define SKUAI_LOCK_PLACE() skuai_lock_debug_place(__builtin_return_address(0))
/* `op`: the one that is started, or NULL. */
int skuai_lock_debug_wants(skua_lock_identity *lock, enum skuai_lock_mode mode, const char *call, skuai_place place,
                           const skua_op *op);
void skuai_lock_debug_acquired(skua_lock_identity *lock, enum skuai_lock_mode mode, skuai_place place);
void skuai_lock_debug_waits(skua_op *op, skua_lock_identity *lock, enum skuai_lock_mode mode);
void skuai_lock_debug_granted(skua_op *op);
void skuai_lock_debug_gave_up(skua_op *op);
bool skuai_lock_debug_releases(skua_lock_identity *lock, enum skuai_lock_mode mode, const char *call);
/* Whether the calling flow holds it, as far as is known. */
bool skuai_lock_debug_holds(const skua_lock_identity *lock, enum skuai_lock_mode mode);
/* "" or " (locked at …)", in a buffer of SKUAI_WHERE_BYTES. */
const char *skuai_lock_debug_where(const skua_lock_identity *lock, char *text);

#else

enum { SKUAI_LOCK_WATCHED = 0 };
#define SKUAI_LOCK_PLACE() ((skuai_place)0)
#define SKUAI_LOCK_NOTHING static inline __attribute__((always_inline, unused))
SKUAI_LOCK_NOTHING int skuai_lock_debug_wants(skua_lock_identity *lock, enum skuai_lock_mode mode, const char *call,
                                              skuai_place place, const skua_op *op)
{
    (void)op;
    (void)lock;
    (void)mode;
    (void)call;
    (void)place;
    return 0;
}
SKUAI_LOCK_NOTHING void skuai_lock_debug_acquired(skua_lock_identity *lock, enum skuai_lock_mode mode,
                                                  skuai_place place)
{
    (void)lock;
    (void)mode;
    (void)place;
}
SKUAI_LOCK_NOTHING void skuai_lock_debug_waits(skua_op *op, skua_lock_identity *lock, enum skuai_lock_mode mode)
{
    (void)op;
    (void)lock;
    (void)mode;
}
SKUAI_LOCK_NOTHING void skuai_lock_debug_granted(skua_op *op) { (void)op; }
SKUAI_LOCK_NOTHING void skuai_lock_debug_gave_up(skua_op *op) { (void)op; }
SKUAI_LOCK_NOTHING bool skuai_lock_debug_releases(skua_lock_identity *lock, enum skuai_lock_mode mode, const char *call)
{
    (void)lock;
    (void)mode;
    (void)call;
    return true;
}
SKUAI_LOCK_NOTHING bool skuai_lock_debug_holds(const skua_lock_identity *lock, enum skuai_lock_mode mode)
{
    (void)lock;
    (void)mode;
    return true;
}
SKUAI_LOCK_NOTHING const char *skuai_lock_debug_where(const skua_lock_identity *lock, char *text)
{
    (void)lock;
    (void)text;
    return "";
}

#endif
#endif
