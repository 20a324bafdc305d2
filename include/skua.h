/* Skua: a multi-threaded work-stealing async runtime for C. One header per concept; this one has them all. */
#ifndef SKUA_H
#define SKUA_H

#include "skua/algorithm.h"
#include "skua/barrier.h"
#include "skua/base.h"
#include "skua/broadcast.h"
#include "skua/cancel_token.h"
#include "skua/channel.h"
#include "skua/combine.h"
#include "skua/cond.h"
#include "skua/event.h"
#include "skua/future.h"
#include "skua/gather.h"
#include "skua/group.h"
#include "skua/guarded.h"
#include "skua/lock_debug.h"
#include "skua/mutex.h"
#include "skua/notify.h"
#include "skua/once.h"
#include "skua/oneshot.h"
#include "skua/op.h"
#include "skua/parallel.h"
#include "skua/runtime.h"
#include "skua/rwlock.h"
#include "skua/scope.h"
#include "skua/select.h"
#include "skua/semaphore.h"
#include "skua/sort.h"
#include "skua/task.h"
#include "skua/thread_safety.h"
#include "skua/time.h"
#include "skua/typed_channel.h"
#include "skua/wait_group.h"
#include "skua/watch.h"

#include "skua/place.h" /* last: it may wrap what the others declare */

#endif
