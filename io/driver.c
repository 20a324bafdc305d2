/* See driver.h.
 *
 * Sources lie in chunks that are never given back while the runtime lives, so that a token whose source is long closed
 * still leads to a source, whose generation then differs. The chunks are found by an array of pointers that grows by
 * being filled: who reads it needs no lock.
 */
#include "io/driver.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "sched/scheduler.h"

enum { CHUNK_SOURCES = 256, CHUNKS_MAX = 8192 }; /* 2,097,152 sources; the kernel's limit of descriptors is lower */
enum { OWNED_WORDS = 512, OWNED_FDS = 64 * OWNED_WORDS, OWNED_CHUNKS = 1024 };

/* A bit for each descriptor that has a source. */
struct owned {
    skua_word64 words[OWNED_WORDS];
};

struct shard {
    struct skuai_poller base; /* first: what the scheduler knows */
    struct skuai_kernel_poller poller;
};

struct skuai_driver {
    struct skuai_scheduler *sched;
    struct skuai_lock lock;
    /* guarded by lock */
    struct skuai_source *free;
    uint32_t chunks_made;
    skua_word64 open;                 /* written under the lock, read by anybody */
    skua_wordptr chunks[CHUNKS_MAX];  /* likewise */
    skua_wordptr owned[OWNED_CHUNKS]; /* written once each, read by anybody; beyond them nobody looks */
    struct owned first_owned;         /* owned[0]: more is rarely needed */
    /* fixed */
    uint32_t nshards;
    struct shard shards[];            /* each source is watched by one */
};

static size_t driver_size(uint32_t nshards) { return sizeof(struct skuai_driver) + nshards * sizeof(struct shard); }

static struct shard *shard_of(struct skuai_poller *poller) { return (struct shard *)(void *)poller; }

static struct skuai_driver *driver_of_first(struct skuai_poller *first)
{
    return (struct skuai_driver *)(void *)((char *)first - offsetof(struct skuai_driver, shards));
}

/* ---- the scheduler's side --------------------------------------------------------------------------------------- */

static void wait_for_events(struct skuai_poller *poller, struct skuai_poll_batch *batch, uint64_t until_ns)
{
    skuai_kernel_poller_wait(&shard_of(poller)->poller, batch, until_ns);
}

static struct skuai_source *source_at(struct skuai_driver *driver, uint32_t index)
{
    /* Acquire: pairs with add_chunk(). The kernel brings the token's index, and does not order memory. */
    struct skuai_source *chunk = skuai_load_ptr(&driver->chunks[index / CHUNK_SOURCES], SKUAI_ACQUIRE);
    return &chunk[index % CHUNK_SOURCES];
}

SKUAI_HOT static void deliver_events(struct skuai_poller *first, const struct skuai_poll_batch *batch)
{
    struct skuai_driver *driver = driver_of_first(first);
    for (uint32_t i = 0; i < batch->count; i++)
        skuai_source_event(source_at(driver, (uint32_t)batch->events[i].token),
                           (uint32_t)(batch->events[i].token >> 32), batch->events[i].ready);
}

static void kick(struct skuai_poller *poller) { skuai_kernel_poller_kick(&shard_of(poller)->poller); }

static void free_driver(struct skuai_driver *driver)
{
    for (uint32_t i = 1; i < OWNED_CHUNKS; i++) {
        struct owned *owned = skuai_load_ptr(&driver->owned[i], SKUAI_RELAXED); /* nobody else is there any more */
        if (owned != NULL)
            skuai_memory_put_lines(&driver->sched->memory, owned, sizeof *owned);
    }
    for (uint32_t i = 0; i < driver->nshards; i++)
        skuai_kernel_poller_fini(&driver->shards[i].poller);
    skuai_memory_put_lines(&driver->sched->memory, driver, driver_size(driver->sched->polls.count));
}

/* What is still open is closed: nobody could any more. */
static void destroy_driver(struct skuai_poller *first)
{
    struct skuai_driver *driver = driver_of_first(first);
    struct skuai_scheduler *sched = driver->sched;
    uint64_t left = skuai_driver_open_sources(driver);
    if (left != 0 && !skuai_driver_is_childs(driver))
        skuai_log(sched, SKUA_LOG_WARN, "%llu streams or descriptors were not closed before the runtime was destroyed",
                  (unsigned long long)left);
    for (uint32_t i = 0; i < driver->chunks_made; i++) {
        struct skuai_source *chunk = source_at(driver, i * CHUNK_SOURCES);
        for (uint32_t k = 0; left != 0 && k < CHUNK_SOURCES; k++)
            if (chunk[k].driver != NULL && chunk[k].fd >= 0 && !chunk[k].keeps_fd)
                close(chunk[k].fd);
        skuai_memory_put_lines(&sched->memory, chunk, CHUNK_SOURCES * sizeof *chunk);
    }
    free_driver(driver);
}

static void set_deadline(struct skuai_poller *poller, uint64_t until_ns)
{
    skuai_kernel_poller_deadline(&shard_of(poller)->poller, until_ns);
}

static const struct skuai_poll_hooks hooks = { .wait = wait_for_events,
                                               .deliver = deliver_events,
                                               .kick = kick,
                                               .destroy = destroy_driver,
                                               .deadline = set_deadline };

/* ---- making it ------------------------------------------------------------------------------------------------- */

/* All pollers, or none. */
static int make_shards(struct skuai_driver *driver, uint32_t count)
{
    for (; driver->nshards < count; driver->nshards++) {
        struct shard *shard = &driver->shards[driver->nshards];
        int rc = skuai_kernel_poller_init(&shard->poller);
        if (rc < 0)
            return rc;
        shard->base.hooks = &hooks;
        shard->base.next = driver->nshards + 1 < count ? &shard[1].base : NULL;
    }
    return 0;
}

static int make_driver(struct skuai_scheduler *sched, struct skuai_driver **out)
{
    uint32_t count = sched->polls.count;
    struct skuai_driver *driver = skuai_memory_get_lines(&sched->memory, driver_size(count));
    if (driver == NULL)
        return -ENOMEM;
    driver->sched = sched;
    skuai_store_ptr(&driver->owned[0], &driver->first_owned, SKUAI_RELAXED); /* published with the driver */
    int rc = make_shards(driver, count);
    if (rc < 0) {
        free_driver(driver);
        return rc;
    }
    if (!skuai_poll_begin(&sched->polls, &driver->shards[0].base)) {
        free_driver(driver); /* another thread was faster */
        driver = driver_of_first(skuai_poll_poller(sched->polls.of));
    }
    if (count == 1) /* poll.h, K5 */
        skuai_schedule_wake_one(sched);
    else
        skuai_schedule_wake_all(sched);
    *out = driver;
    return 0;
}

int skuai_driver_embed(struct skuai_scheduler *sched)
{
    struct skuai_driver *driver;
    int rc = make_driver(sched, &driver);
    return rc < 0 ? rc : skuai_kernel_poller_add_deadlines(&driver->shards[0].poller);
}

int skuai_driver_fd(struct skuai_scheduler *sched)
{
    return driver_of_first(skuai_poll_poller(sched->polls.of))->shards[0].poller.fd;
}

static int get_driver(skua_runtime *rt, struct skuai_driver **out)
{
    struct skuai_worker *worker = skuai_worker_self();
    struct skuai_scheduler *sched = rt != NULL       ? (struct skuai_scheduler *)(void *)rt
                                    : worker != NULL ? worker->sched
                                                     : NULL;
    if (sched == NULL)
        return -EINVAL;
    if (sched->env.sim != NULL || skuai_load_32(sched->alive_here, SKUAI_RELAXED) == 0) /* as below */
        return -ENOTSUP;
    struct skuai_poller *first = skuai_poll_poller(sched->polls.of);
    if (SKUAI_UNLIKELY(first == NULL))
        return make_driver(sched, out);
    *out = driver_of_first(first);
    return 0;
}

/* ---- sources --------------------------------------------------------------------------------------------------- */

static struct skuai_source *make_chunk(struct skuai_driver *driver)
{
    struct skuai_source *chunk = skuai_memory_get_lines(&driver->sched->memory, CHUNK_SOURCES * sizeof *chunk);
    for (uint32_t i = 0; chunk != NULL && i < CHUNK_SOURCES; i++) {
        chunk[i].driver = driver;
        chunk[i].fd = -1;
        chunk[i].users = (skua_word32){ SKUAI_SOURCE_CLOSED };
    }
    return chunk;
}

static bool add_chunk_locked(struct skuai_driver *driver, struct skuai_source *chunk)
{
    uint32_t at = driver->chunks_made;
    if (at == CHUNKS_MAX)
        return false;
    for (uint32_t i = CHUNK_SOURCES; i-- > 0;) {
        chunk[i].index = at * CHUNK_SOURCES + i;
        chunk[i].next_free = driver->free;
        driver->free = &chunk[i];
    }
    skuai_store_ptr(&driver->chunks[at], chunk, SKUAI_RELEASE); /* pairs with source_at() */
    driver->chunks_made = at + 1;
    return true;
}

static struct skuai_source *take_locked(struct skuai_driver *driver)
{
    struct skuai_source *source = driver->free;
    if (source == NULL)
        return NULL;
    driver->free = source->next_free;
    /* Relaxed: a count. */
    skuai_store_64(&driver->open, skuai_load_64(&driver->open, SKUAI_RELAXED) + 1, SKUAI_RELAXED);
    return source;
}

static struct skuai_source *take_source(struct skuai_driver *driver)
{
    skuai_lock_acquire(&driver->lock);
    struct skuai_source *source = take_locked(driver);
    skuai_lock_release(&driver->lock);
    if (SKUAI_LIKELY(source != NULL))
        return source;
    struct skuai_source *chunk = make_chunk(driver); /* the application's allocator: not under a spin lock */
    if (chunk == NULL)
        return NULL;
    skuai_lock_acquire(&driver->lock);
    bool added = add_chunk_locked(driver, chunk);
    source = take_locked(driver);
    skuai_lock_release(&driver->lock);
    if (!added)
        skuai_memory_put_lines(&driver->sched->memory, chunk, CHUNK_SOURCES * sizeof *chunk);
    return source;
}

void skuai_driver_recycle(struct skuai_driver *driver, struct skuai_source *source)
{
    skuai_lock_acquire(&driver->lock);
    source->next_free = driver->free;
    driver->free = source;
    skuai_store_64(&driver->open, skuai_load_64(&driver->open, SKUAI_RELAXED) - 1, SKUAI_RELAXED);
    skuai_lock_release(&driver->lock);
}

/* ---- whose descriptors are whose -------------------------------------------------------------------------------- */

/* The chunk with a descriptor's bit, or NULL: no memory, or the number is beyond them. */
static struct owned *owned_chunk(struct skuai_driver *driver, uint32_t at)
{
    struct owned *owned = skuai_load_ptr(&driver->owned[at], SKUAI_ACQUIRE); /* pairs with the exchange: zeroes */
    if (SKUAI_LIKELY(owned != NULL))
        return owned;
    struct owned *made = skuai_memory_get_lines(&driver->sched->memory, sizeof *made);
    void *seen = NULL;
    if (made == NULL || skuai_cas_ptr(&driver->owned[at], &seen, made, SKUAI_ACQ_REL))
        return made;
    skuai_memory_put_lines(&driver->sched->memory, made, sizeof *made); /* another thread was faster */
    return seen;
}

static skua_word64 *owned_word(struct skuai_driver *driver, int fd)
{
    uint32_t at = (uint32_t)fd / OWNED_FDS;
    struct owned *owned = fd >= 0 && at < OWNED_CHUNKS ? owned_chunk(driver, at) : NULL;
    return owned != NULL ? &owned->words[(uint32_t)fd % OWNED_FDS / 64] : NULL;
}

/* Relaxed, here and where it is let go: the bit is all there is, and a number comes anew from the kernel only after its
 * close, which orders the two. Where there is no memory for the bit nobody looks. */
static bool own(struct skuai_driver *driver, int fd)
{
    skua_word64 *word = owned_word(driver, fd);
    uint64_t bit = UINT64_C(1) << ((uint32_t)fd % 64);
    return word == NULL || !(skuai_or_64(word, bit, SKUAI_RELAXED) & bit);
}

static void disown(struct skuai_driver *driver, int fd)
{
    skua_word64 *word = owned_word(driver, fd);
    if (word != NULL)
        skuai_and_64(word, ~(UINT64_C(1) << ((uint32_t)fd % 64)), SKUAI_RELAXED); /* as above */
}

/* Of one that the kernel has just given: it was closed, and its source has not let it go. */
static __attribute__((noinline, cold)) void report_reuse(struct skuai_driver *driver, int fd)
{
    char text[96];
    snprintf(text, sizeof text, "has the number %d of a stream, socket or watch that is open", fd);
    skuai_misuse_of(driver->sched, "a new descriptor", text,
                    "close() no descriptor that Skua has, and end a watch before: skua_fd_close()");
}

void skuai_driver_lost(struct skuai_driver *driver, int fd)
{
    char text[96];
    snprintf(text, sizeof text, "found that its descriptor %d had been closed by somebody else", fd);
    skuai_misuse_of(driver->sched, "the end of a stream, socket or watch", text,
                    "close() no descriptor that Skua has, and end a watch before: skua_fd_close()");
}

void skuai_driver_closed_twice(struct skuai_driver *driver, const char *call)
{
    skuai_misuse_of(driver->sched, call, "was given what is closed already", "close once, by whoever is the owner");
}

static int open_source(skua_runtime *rt, int fd, bool is_given, bool keeps_fd, uint8_t stream,
                       struct skuai_source **out)
{
    struct skuai_driver *driver;
    int rc = get_driver(rt, &driver);
    if (rc < 0)
        return rc;
    struct skuai_source *source = take_source(driver);
    if (source == NULL)
        return -ENOMEM;
    if (SKUAI_UNLIKELY(!own(driver, fd))) {
        if (is_given) {
            skuai_driver_recycle(driver, source);
            return -EBUSY;
        }
        report_reuse(driver, fd);
    }
    source->fd = fd;
    source->keeps_fd = keeps_fd;
    source->stream = stream;
    /* Ready as far as anybody knows: the first try tells (source.h, Q2). Relaxed, both: users' release publishes it. */
    uint64_t generation = skuai_load_64(&source->readiness, SKUAI_RELAXED) >> 32;
    skuai_store_64(&source->readiness, generation << 32 | SKUAI_READY_READ | SKUAI_READY_WRITE, SKUAI_RELAXED);
    skuai_store_32(&source->users, 0, SKUAI_RELEASE); /* pairs with skuai_source_enter() */
    *out = source;
    return 0;
}

int skuai_source_open(skua_runtime *rt, int fd, bool keeps_fd, struct skuai_source **out)
{
    return open_source(rt, fd, false, keeps_fd, 0, out);
}

int skuai_source_open_as(skua_runtime *rt, int fd, bool keeps_fd, uint8_t stream, struct skuai_source **out)
{
    return open_source(rt, fd, false, keeps_fd, stream, out);
}

int skuai_source_open_given(skua_runtime *rt, int fd, bool keeps_fd, uint8_t stream, struct skuai_source **out)
{
    return open_source(rt, fd, true, keeps_fd, stream, out);
}

uint64_t skuai_driver_open_sources(struct skuai_driver *driver)
{
    return skuai_load_64(&driver->open, SKUAI_RELAXED);
}

SKUAI_HOT bool skuai_driver_is_childs(const struct skuai_driver *driver)
{
    return skuai_load_32(driver->sched->alive_here, SKUAI_RELAXED) == 0; /* zeroed before the child began */
}

uint32_t skuai_driver_shard(const struct skuai_driver *driver, const struct skuai_worker *worker, uint32_t index)
{
    if (worker != NULL && worker->sched == driver->sched)
        return (uint32_t)(worker->home - driver->sched->polls.of);
    return index % driver->nshards;
}

int skuai_driver_watch(struct skuai_driver *driver, uint32_t shard, int fd, uint64_t token)
{
    return skuai_kernel_poller_add(&driver->shards[shard].poller, fd, token);
}

bool skuai_driver_unwatch(struct skuai_driver *driver, uint32_t shard, int fd)
{
    return skuai_kernel_poller_remove(&driver->shards[shard].poller, fd);
}

void skuai_driver_let_go(struct skuai_driver *driver, int fd, bool closes)
{
    disown(driver, fd); /* first: then the number may be anybody's */
    if (!closes)
        return;
    int cancellable = skuai_cancel_hold_off(); /* nobody else would close it */
    bool was_lost = close(fd) != 0 && skua_errno() == EBADF; /* EINTR: Linux has closed it */
    skuai_cancel_allow(cancellable);
    if (SKUAI_UNLIKELY(was_lost) && !skuai_driver_is_childs(driver))
        skuai_driver_lost(driver, fd);
}
