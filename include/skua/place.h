/* Where a task waits, by file and line, for reports of deadlocks: in programs that are compiled with -DSKUA_DEBUG.
 *
 * Then the straight-line calls that wait are macros which leave their place with the calling fiber or thread before the
 * call and take it away after it. Futures need no more than a list of where they are defined, since a frame knows the
 * line at which it waits. Without SKUA_DEBUG there is nothing of this. The library must not be compiled for it.
 *
 * Included last, as it wraps what the other headers declare. skua.h does. A call that is not to be wrapped is written
 * (skua_sleep)(1).
 */
#ifndef SKUA_PLACE_H
#define SKUA_PLACE_H

#include "skua/base.h"

SKUA_BEGIN_DECLS

/* The calling fiber or thread is about to wait at this place, a text that stays; NULL: it is past it. */
SKUA_API void skuai_place(const char *place);

SKUA_END_DECLS

#if defined(SKUA_DEBUG)

#include "skua/barrier.h"
#include "skua/broadcast.h"
#include "skua/cancel_token.h"
#include "skua/channel.h"
#include "skua/combine.h"
#include "skua/cond.h"
#include "skua/event.h"
#include "skua/future.h"
#include "skua/gather.h"
#include "skua/group.h"
#include "skua/mutex.h"
#include "skua/notify.h"
#include "skua/once.h"
#include "skua/oneshot.h"
#include "skua/op.h"
#include "skua/rate_limiter.h"
#include "skua/runtime.h"
#include "skua/rwlock.h"
#include "skua/scope.h"
#include "skua/select.h"
#include "skua/semaphore.h"
#include "skua/task.h"
#include "skua/time.h"
#include "skua/wait_group.h"
#include "skua/watch.h"

/* Past it, and the call's result. */
static inline __attribute__((unused)) int skuai_past_int(int result)
{
    skuai_place(0);
    return result;
}
static inline __attribute__((unused)) int64_t skuai_past_int64(int64_t result)
{
    skuai_place(0);
    return result;
}
static inline __attribute__((unused, warn_unused_result)) int skuai_past_checked(int result)
{
    return skuai_past_int(result);
}

#define SKUAI_PLACE_TEXT(line) __FILE__ ":" #line
#define SKUAI_PLACE_TEXT_OF(line) SKUAI_PLACE_TEXT(line)
/* A call that returns an int, an int64_t, an int that is to be looked at. */
#define SKUAI_AT(call) (skuai_place(SKUAI_PLACE_TEXT_OF(__LINE__)), skuai_past_int(call))
#define SKUAI_AT64(call) (skuai_place(SKUAI_PLACE_TEXT_OF(__LINE__)), skuai_past_int64(call))
#define SKUAI_AT_CHECKED(call) (skuai_place(SKUAI_PLACE_TEXT_OF(__LINE__)), skuai_past_checked(call))

#define skua_await(...) SKUAI_AT64(skua_await(__VA_ARGS__))
#define skua_await_until(...) SKUAI_AT64(skua_await_until(__VA_ARGS__))
#define skua_await_frame(...) SKUAI_AT64(skua_await_frame(__VA_ARGS__))
#define skua_select(...) SKUAI_AT64(skua_select(__VA_ARGS__))
#define skua_select_biased(...) SKUAI_AT64(skua_select_biased(__VA_ARGS__))
#define skua_select_until(...) SKUAI_AT64(skua_select_until(__VA_ARGS__))
#define skua_join_all(...) SKUAI_AT64(skua_join_all(__VA_ARGS__))
#define skua_race(...) SKUAI_AT64(skua_race(__VA_ARGS__))
#define skua_any(...) SKUAI_AT64(skua_any(__VA_ARGS__))
#define skua_all_settled(...) SKUAI_AT64(skua_all_settled(__VA_ARGS__))
#define skua_join(...) SKUAI_AT_CHECKED(skua_join(__VA_ARGS__))
#define skua_block_on(...) SKUAI_AT64(skua_block_on(__VA_ARGS__))
#define skua_park(...) SKUAI_AT(skua_park(__VA_ARGS__))
#define skua_sleep(...) SKUAI_AT(skua_sleep(__VA_ARGS__))
#define skua_sleep_until(...) SKUAI_AT(skua_sleep_until(__VA_ARGS__))
#define skua_event_wait(...) SKUAI_AT(skua_event_wait(__VA_ARGS__))
#define skua_event_wait_until(...) SKUAI_AT(skua_event_wait_until(__VA_ARGS__))
#define skua_send(...) SKUAI_AT(skua_send(__VA_ARGS__))
#define skua_send_until(...) SKUAI_AT(skua_send_until(__VA_ARGS__))
#define skua_receive(...) SKUAI_AT(skua_receive(__VA_ARGS__))
#define skua_receive_until(...) SKUAI_AT(skua_receive_until(__VA_ARGS__))
#define skua_send_many(...) SKUAI_AT64(skua_send_many(__VA_ARGS__))
#define skua_receive_many(...) SKUAI_AT64(skua_receive_many(__VA_ARGS__))
#define skua_notify_wait(...) SKUAI_AT(skua_notify_wait(__VA_ARGS__))
#define skua_notify_wait_until(...) SKUAI_AT(skua_notify_wait_until(__VA_ARGS__))
#define skua_oneshot_receive(...) SKUAI_AT(skua_oneshot_receive(__VA_ARGS__))
#define skua_oneshot_receive_until(...) SKUAI_AT(skua_oneshot_receive_until(__VA_ARGS__))
#define skua_oneshot_unwanted(...) SKUAI_AT(skua_oneshot_unwanted(__VA_ARGS__))
#define skua_oneshot_unwanted_until(...) SKUAI_AT(skua_oneshot_unwanted_until(__VA_ARGS__))
#define skua_semaphore_acquire(...) SKUAI_AT_CHECKED(skua_semaphore_acquire(__VA_ARGS__))
#define skua_semaphore_acquire_until(...) SKUAI_AT_CHECKED(skua_semaphore_acquire_until(__VA_ARGS__))
#define skua_cond_wait(...) SKUAI_AT_CHECKED(skua_cond_wait(__VA_ARGS__))
#define skua_cond_wait_until(...) SKUAI_AT_CHECKED(skua_cond_wait_until(__VA_ARGS__))
#define skua_group_go(...) SKUAI_AT_CHECKED(skua_group_go(__VA_ARGS__))
#define skua_group_go_with(...) SKUAI_AT_CHECKED(skua_group_go_with(__VA_ARGS__))
#define skua_group_wait(...) SKUAI_AT64(skua_group_wait(__VA_ARGS__))
#define skua_group_wait_until(...) SKUAI_AT64(skua_group_wait_until(__VA_ARGS__))
#define skua_group_next(...) SKUAI_AT(skua_group_next(__VA_ARGS__))
#define skua_group_next_until(...) SKUAI_AT(skua_group_next_until(__VA_ARGS__))
#define skua_barrier_wait(...) SKUAI_AT(skua_barrier_wait(__VA_ARGS__))
#define skua_barrier_wait_until(...) SKUAI_AT(skua_barrier_wait_until(__VA_ARGS__))
#define skua_broadcast_receive(...) SKUAI_AT(skua_broadcast_receive(__VA_ARGS__))
#define skua_broadcast_receive_until(...) SKUAI_AT(skua_broadcast_receive_until(__VA_ARGS__))
#define skua_broadcast_receive_many(...) SKUAI_AT64(skua_broadcast_receive_many(__VA_ARGS__))
#define skua_cancel_token_wait(...) SKUAI_AT(skua_cancel_token_wait(__VA_ARGS__))
#define skua_cancel_token_wait_until(...) SKUAI_AT(skua_cancel_token_wait_until(__VA_ARGS__))
#define skua_gather(...) SKUAI_AT64(skua_gather(__VA_ARGS__))
#define skua_gather_race(...) SKUAI_AT64(skua_gather_race(__VA_ARGS__))
#define skua_gather_any(...) SKUAI_AT64(skua_gather_any(__VA_ARGS__))
#define skua_gather_settled(...) SKUAI_AT64(skua_gather_settled(__VA_ARGS__))
#define skua_once_run(...) SKUAI_AT(skua_once_run(__VA_ARGS__))
#define skua_once_enter(...) SKUAI_AT(skua_once_enter(__VA_ARGS__))
#define skua_once_enter_until(...) SKUAI_AT(skua_once_enter_until(__VA_ARGS__))
#define skua_lazy_get(...) SKUAI_AT(skua_lazy_get(__VA_ARGS__))
#define skua_rate_limiter_acquire(...) SKUAI_AT_CHECKED(skua_rate_limiter_acquire(__VA_ARGS__))
#define skua_rate_limiter_acquire_until(...) SKUAI_AT_CHECKED(skua_rate_limiter_acquire_until(__VA_ARGS__))
#define skua_wait_group_wait(...) SKUAI_AT(skua_wait_group_wait(__VA_ARGS__))
#define skua_wait_group_wait_until(...) SKUAI_AT(skua_wait_group_wait_until(__VA_ARGS__))
#define skua_watch_changed(...) SKUAI_AT(skua_watch_changed(__VA_ARGS__))
#define skua_watch_changed_until(...) SKUAI_AT(skua_watch_changed_until(__VA_ARGS__))

/* Locks also know their places for checks of their own (lock_debug.h). clang's analysis of locks does not see through
 * either: leave SKUA_DEBUG out where it is run. */
#define SKUAI_AT_LOCK(call) SKUAI_AT_CHECKED((skuai_lock_place(SKUAI_PLACE_TEXT_OF(__LINE__)), call))
#define SKUAI_AT_LOCK_VOID(call) \
    (skuai_place(SKUAI_PLACE_TEXT_OF(__LINE__)), skuai_lock_place(SKUAI_PLACE_TEXT_OF(__LINE__)), call, skuai_place(0))

#undef skua_mutex_lock
#define skua_mutex_lock(...) SKUAI_AT_LOCK(skua_mutex_lock(__VA_ARGS__))
#undef skua_mutex_lock_until
#define skua_mutex_lock_until(...) SKUAI_AT_LOCK(skua_mutex_lock_until(__VA_ARGS__))
#undef skua_mutex_lock_shielded
#define skua_mutex_lock_shielded(...) SKUAI_AT_LOCK_VOID(skua_mutex_lock_shielded(__VA_ARGS__))
#undef skua_rwlock_read_lock
#define skua_rwlock_read_lock(...) SKUAI_AT_LOCK(skua_rwlock_read_lock(__VA_ARGS__))
#undef skua_rwlock_read_lock_until
#define skua_rwlock_read_lock_until(...) SKUAI_AT_LOCK(skua_rwlock_read_lock_until(__VA_ARGS__))
#undef skua_rwlock_write_lock
#define skua_rwlock_write_lock(...) SKUAI_AT_LOCK(skua_rwlock_write_lock(__VA_ARGS__))
#undef skua_rwlock_write_lock_until
#define skua_rwlock_write_lock_until(...) SKUAI_AT_LOCK(skua_rwlock_write_lock_until(__VA_ARGS__))
#undef skua_rwlock_read_lock_shielded
#define skua_rwlock_read_lock_shielded(...) SKUAI_AT_LOCK_VOID(skua_rwlock_read_lock_shielded(__VA_ARGS__))
#undef skua_rwlock_write_lock_shielded
#define skua_rwlock_write_lock_shielded(...) SKUAI_AT_LOCK_VOID(skua_rwlock_write_lock_shielded(__VA_ARGS__))

#endif

#endif
