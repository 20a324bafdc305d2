/* Guarded data: a value that can be reached through its lock only.
 *
 *     struct account { long balance; };
 *     static SKUA_GUARDED(struct account) account = SKUA_GUARDED_INIT({ .balance = 100 });
 *
 *     void deposit(long amount)
 *     {
 *         SKUA_WITH(&account, mine);                 // a declaration: locked from here to the end of this block
 *         mine->balance += amount;                   // `mine` is a struct account *
 *     }                                              // unlocked, however the block is left
 *
 * There is no other way to the value than these macros: it has no name that a program could write. What they give is a
 * pointer of the value's type, so a wrong use is an error of the compiler's, gcc's and clang's; and with SKUA_SHARED,
 * which has a read-write lock, readers get a pointer to const. The pointer must not leave the block: that no compiler
 * sees.
 *
 *     static SKUA_SHARED(struct table) table = SKUA_SHARED_INIT({ .size = 0 });
 *     { SKUA_WITH_READ(&table, t);  n = t->size; }
 *     { SKUA_WITH_WRITE(&table, t); t->size++; }
 *
 * They lock whether or not the task is cancelled (skua_mutex_lock_shielded), so a section is always run. To give up
 * instead, or to wait in a future, where a block's variables do not survive an await and these declarations do not
 * compile, lock by hand:
 *
 *     SKUA_AWAIT(skua_mutex_lock_start(&self->op, SKUA_LOCK_OF(&account)));
 *     SKUA_HELD(&account)->balance += 1;             // misuse if nobody holds it; in debug builds, if we do not
 *     skua_mutex_unlock(SKUA_LOCK_OF(&account));
 *
 * SKUA_LOCK_OF is also for skua_cond_wait() inside of a SKUA_WITH. In C; C++ has better means.
 */
#ifndef SKUA_GUARDED_H
#define SKUA_GUARDED_H

#include "skua/mutex.h"
#include "skua/rwlock.h"
#include "skua/scope.h"

#ifndef __cplusplus

/* The type of a value of this type (a name for one, without commas) and its lock, a new one each time: give it a name
 * to use it twice, as in
 *     typedef SKUA_GUARDED(struct account) guarded_account; */
#define SKUA_GUARDED(type)                \
    struct {                              \
        skua_mutex skuai_guard;           \
        type skuai_behind_the_guard;      \
    }
#define SKUA_SHARED(type)                 \
    struct {                              \
        skua_rwlock skuai_shared_guard;   \
        type skuai_behind_the_guard;      \
    }
/* The value's initialiser, in braces if it has some; of variables of any storage duration. */
#define SKUA_GUARDED_INIT(...) { SKUA_MUTEX_INIT, __VA_ARGS__ }
#define SKUA_SHARED_INIT(...) { SKUA_RWLOCK_INIT, __VA_ARGS__ }

/* The lock, a skua_mutex * or skua_rwlock *. */
#define SKUA_LOCK_OF(guarded) (&(guarded)->skuai_guard)
#define SKUA_SHARED_LOCK_OF(shared) (&(shared)->skuai_shared_guard)

/* A pointer to the value, `name`, until the end of the block. One to a line. */
#define SKUA_WITH(guarded, name) \
    SKUAI_WITH(guarded, name, skua_mutex, SKUA_LOCK_OF, skuai_guard_lock, skuai_guard_unlock, )
/* As SKUA_WITH, without waiting: `name` is NULL if somebody holds it. */
#define SKUA_TRY_WITH(guarded, name) \
    SKUAI_TRY_WITH(guarded, name, skua_mutex, SKUA_LOCK_OF, skuai_guard_try_lock, skuai_guard_unlock, )
/* Of SKUA_SHARED, as a writer. */
#define SKUA_WITH_WRITE(shared, name) \
    SKUAI_WITH(shared, name, skua_rwlock, SKUA_SHARED_LOCK_OF, skuai_guard_write_lock, skuai_guard_write_unlock, )
/* As SKUA_WITH_WRITE, without waiting: `name` is NULL if somebody holds it. */
#define SKUA_TRY_WITH_WRITE(shared, name)                                                           \
    SKUAI_TRY_WITH(shared, name, skua_rwlock, SKUA_SHARED_LOCK_OF, skuai_guard_try_write_lock,      \
                   skuai_guard_write_unlock, )
/* Of SKUA_SHARED, as a reader: a pointer to const. */
#define SKUA_WITH_READ(shared, name) \
    SKUAI_WITH(shared, name, skua_rwlock, SKUA_SHARED_LOCK_OF, skuai_guard_read_lock, skuai_guard_read_unlock, const)
/* As SKUA_WITH_READ, without waiting: `name` is NULL if a writer holds it, or waits for it. */
#define SKUA_TRY_WITH_READ(shared, name)                                                            \
    SKUAI_TRY_WITH(shared, name, skua_rwlock, SKUA_SHARED_LOCK_OF, skuai_guard_try_read_lock,       \
                   skuai_guard_read_unlock, const)

/* A pointer to the value, of who holds the lock by other means. */
#define SKUA_HELD(guarded) \
    (skua_mutex_assert_held(SKUA_LOCK_OF(guarded)), &(guarded)->skuai_behind_the_guard)
#define SKUA_HELD_WRITE(shared) \
    (skua_rwlock_assert_write_held(SKUA_SHARED_LOCK_OF(shared)), &(shared)->skuai_behind_the_guard)
#define SKUA_HELD_READ(shared)                                   \
    (skua_rwlock_assert_read_held(SKUA_SHARED_LOCK_OF(shared)),  \
     (const __typeof__((shared)->skuai_behind_the_guard) *)&(shared)->skuai_behind_the_guard)

#define SKUAI_WITH(guarded, name, lock_type, lock_of, lock, unlock, constant)                                        \
    __attribute__((cleanup(unlock))) lock_type *const SKUAI_JOIN(skuai_held_, name) = lock(lock_of(guarded));        \
    (void)sizeof(char[skuai_block_scope_allowed]); /* negative here? in a future lock by hand */                     \
    constant __typeof__((guarded)->skuai_behind_the_guard) *const name = &(guarded)->skuai_behind_the_guard;         \
    (void)SKUAI_JOIN(skuai_held_, name)
#define SKUAI_TRY_WITH(guarded, name, lock_type, lock_of, lock, unlock, constant)                                    \
    __attribute__((cleanup(unlock))) lock_type *const SKUAI_JOIN(skuai_held_, name) = lock(lock_of(guarded));        \
    (void)sizeof(char[skuai_block_scope_allowed]); /* negative here? in a future lock by hand */                     \
    constant __typeof__((guarded)->skuai_behind_the_guard) *const name =                                             \
        SKUAI_JOIN(skuai_held_, name) != NULL ? &(guarded)->skuai_behind_the_guard : NULL

/* clang's analysis does not know that a cleanup is called: it is told nothing of these locks. The value behind them
 * cannot be reached without. */
#define SKUAI_GUARD_LOCK(name, lock_type, lock)                                                         \
    static inline SKUA_NO_THREAD_SAFETY __attribute__((unused)) lock_type *name(lock_type *guard)       \
    {                                                                                                   \
        lock(guard);                                                                                    \
        return guard;                                                                                   \
    }
#define SKUAI_GUARD_TRY_LOCK(name, lock_type, try_lock)                                                 \
    static inline SKUA_NO_THREAD_SAFETY __attribute__((unused)) lock_type *name(lock_type *guard)       \
    {                                                                                                   \
        return try_lock(guard) == 0 ? guard : NULL;                                                     \
    }
#define SKUAI_GUARD_UNLOCK(name, lock_type, unlock)                                                     \
    static inline SKUA_NO_THREAD_SAFETY __attribute__((unused)) void name(lock_type *const *guard)      \
    {                                                                                                   \
        if (*guard != NULL)                                                                             \
            unlock(*guard);                                                                             \
    }
SKUAI_GUARD_LOCK(skuai_guard_lock, skua_mutex, skua_mutex_lock_shielded)
SKUAI_GUARD_TRY_LOCK(skuai_guard_try_lock, skua_mutex, skua_mutex_try_lock)
SKUAI_GUARD_UNLOCK(skuai_guard_unlock, skua_mutex, skua_mutex_unlock)
SKUAI_GUARD_LOCK(skuai_guard_write_lock, skua_rwlock, skua_rwlock_write_lock_shielded)
SKUAI_GUARD_TRY_LOCK(skuai_guard_try_write_lock, skua_rwlock, skua_rwlock_try_write_lock)
SKUAI_GUARD_UNLOCK(skuai_guard_write_unlock, skua_rwlock, skua_rwlock_write_unlock)
SKUAI_GUARD_LOCK(skuai_guard_read_lock, skua_rwlock, skua_rwlock_read_lock_shielded)
SKUAI_GUARD_TRY_LOCK(skuai_guard_try_read_lock, skua_rwlock, skua_rwlock_try_read_lock)
SKUAI_GUARD_UNLOCK(skuai_guard_read_unlock, skua_rwlock, skua_rwlock_read_unlock)

#endif

#endif
