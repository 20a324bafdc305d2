/* What clang's -Wthread-safety is told about locks. Other compilers see nothing of it.
 *
 *     static skua_mutex guard = SKUA_MUTEX_INIT;
 *     static int hits SKUA_GUARDED_BY(guard);          // touched without the lock: a warning
 *
 *     static void count(void) SKUA_REQUIRES(guard);    // to be called with the lock held
 *
 * A lock that can fail is held in the branch where its result is 0, which the compiler sees if it is compared with 0:
 *     int rc = skua_mutex_lock(&guard);
 *     if (rc != 0)
 *         return rc;
 * In C clang takes SKUA_GUARDED_BY for variables only; for members of a structure use SKUA_GUARDED (guarded.h), which
 * needs no analysis, or C++.
 */
#ifndef SKUA_THREAD_SAFETY_H
#define SKUA_THREAD_SAFETY_H

#if defined(__clang__)
#define SKUAI_SAFETY(...) __attribute__((__VA_ARGS__))
#else
#define SKUAI_SAFETY(...)
#endif

/* Of data: read and written with the lock held (a read lock: read only); behind a pointer. */
#define SKUA_GUARDED_BY(lock) SKUAI_SAFETY(guarded_by(lock))
#define SKUA_POINTS_TO_GUARDED_BY(lock) SKUAI_SAFETY(pt_guarded_by(lock))
/* Of functions: who calls holds these locks, or does not, or need not be looked into. */
#define SKUA_REQUIRES(...) SKUAI_SAFETY(requires_capability(__VA_ARGS__))
#define SKUA_REQUIRES_SHARED(...) SKUAI_SAFETY(requires_shared_capability(__VA_ARGS__))
#define SKUA_EXCLUDES(...) SKUAI_SAFETY(locks_excluded(__VA_ARGS__))
#define SKUA_NO_THREAD_SAFETY SKUAI_SAFETY(no_thread_safety_analysis)
/* Of functions that take or leave a lock; _TRY: only if they return 0. */
#define SKUA_ACQUIRES(...) SKUAI_SAFETY(acquire_capability(__VA_ARGS__))
#define SKUA_ACQUIRES_SHARED(...) SKUAI_SAFETY(acquire_shared_capability(__VA_ARGS__))
#define SKUA_ACQUIRES_TRY(...) SKUAI_SAFETY(try_acquire_capability(0, __VA_ARGS__))
#define SKUA_ACQUIRES_SHARED_TRY(...) SKUAI_SAFETY(try_acquire_shared_capability(0, __VA_ARGS__))
#define SKUA_RELEASES(...) SKUAI_SAFETY(release_capability(__VA_ARGS__))
#define SKUA_RELEASES_SHARED(...) SKUAI_SAFETY(release_shared_capability(__VA_ARGS__))
/* What the analysis cannot see, such as a lock that a future or a select has taken: from here on it is held. */
#define SKUA_ASSERTS(...) SKUAI_SAFETY(assert_capability(__VA_ARGS__))
#define SKUA_ASSERTS_SHARED(...) SKUAI_SAFETY(assert_shared_capability(__VA_ARGS__))
/* Of a lock's type. */
#define SKUA_CAPABILITY(name) SKUAI_SAFETY(capability(name))

#endif
