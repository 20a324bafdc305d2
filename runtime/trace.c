/* Traces as files, in the Trace Event Format that Perfetto and chrome://tracing read: a line per event. */
#define _GNU_SOURCE
#include "skua/trace.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/runtime.h"
#include "sched/trace.h"

enum { RECORDS_DEFAULT = 65536, RECORDS_MAX = 1 << 24, GUARD_TRACK = 1, TRACKS_BEFORE_WORKERS = 2 };

int skua_trace_start(skua_runtime *rt, size_t records)
{
    uint64_t rounded = 1;
    if (records > RECORDS_MAX)
        return -EINVAL;
#if defined(SKUAI_NO_TRACING)
    return -ENOTSUP;
#endif
    while (rounded < (records != 0 ? records : RECORDS_DEFAULT))
        rounded *= 2;
    return skuai_trace_begin(&rt->sched, rounded);
}

void skua_trace_stop(skua_runtime *rt) { skuai_trace_end(&rt->sched); }

/* ---- the file ---------------------------------------------------------------------------------------------------- */

struct record {
    uint64_t at_ns, what, more;
    char name[SKUAI_TRACE_NAME_BYTES + 1];
    enum skuai_trace_kind kind;
};

static struct record decode(const uint64_t words[SKUAI_TRACE_WORDS])
{
    struct record record = { .at_ns = words[0],
                             .what = words[1] & ((UINT64_C(1) << SKUAI_TRACE_KIND_SHIFT) - 1),
                             .more = words[2],
                             .kind = (enum skuai_trace_kind)(words[1] >> SKUAI_TRACE_KIND_SHIFT) };
    memcpy(record.name, &words[2], SKUAI_TRACE_NAME_BYTES);
    return record;
}

static void put_text(FILE *file, const char *text)
{
    fputc('"', file);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(file, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f) /* a name that was cut may end within a character */
            fprintf(file, "\\u%04x", c);
        else
            fputc(c, file);
    }
    fputc('"', file);
}

/* The function's name, or where it lies in its file: what addr2line takes. */
static void put_function(FILE *file, uint64_t code)
{
    Dl_info info;
    char text[256];
    if (dladdr((void *)(uintptr_t)code, &info) == 0) {
        snprintf(text, sizeof text, "0x%" PRIx64, code);
    } else if (info.dli_sname != NULL && (uintptr_t)info.dli_saddr == code) {
        snprintf(text, sizeof text, "%s", info.dli_sname);
    } else {
        const char *name = strrchr(info.dli_fname, '/');
        snprintf(text, sizeof text, "%.200s+0x%" PRIx64, name != NULL ? name + 1 : info.dli_fname,
                 code - (uint64_t)(uintptr_t)info.dli_fbase);
    }
    put_text(file, text);
}

/* Where an event stands: its thread, and when, in microseconds since the file's beginning. */
struct track {
    FILE *file;
    uint32_t thread;
    uint64_t zero_ns;
};

static void begin_event(const struct track *track, const char *phase, uint64_t at_ns)
{
    uint64_t since = at_ns - track->zero_ns;
    fprintf(track->file, ",\n{\"ph\":\"%s\",\"pid\":%ld,\"tid\":%" PRIu32 ",\"ts\":%" PRIu64 ".%03u", phase,
            (long)getpid(), track->thread, since / 1000, (unsigned)(since % 1000));
}

static void put_slice(const struct track *track, const struct record *record, uint64_t end_ns)
{
    uint64_t length = end_ns - record->at_ns;
    begin_event(track, "X", record->at_ns);
    fprintf(track->file, ",\"dur\":%" PRIu64 ".%03u,\"cat\":\"%s\",\"name\":", length / 1000, (unsigned)(length % 1000),
            record->kind == SKUAI_TRACE_SLEEP ? "sleep" : "run");
    if (record->kind == SKUAI_TRACE_NAMED)
        put_text(track->file, record->name);
    else if (record->kind == SKUAI_TRACE_FIBER || record->kind == SKUAI_TRACE_FUTURE)
        put_function(track->file, record->more);
    else
        put_text(track->file, record->kind == SKUAI_TRACE_JOBS ? "jobs" : "asleep");
    if (record->kind != SKUAI_TRACE_JOBS && record->kind != SKUAI_TRACE_SLEEP)
        fprintf(track->file, ",\"args\":{\"task\":%" PRIu64 "}", record->what);
    fputc('}', track->file);
}

static void put_mark(const struct track *track, const struct record *record, const char *name, const char *what)
{
    begin_event(track, "i", record->at_ns);
    fprintf(track->file, ",\"s\":\"t\",\"name\":\"%s\",\"args\":{", name);
    if (what != NULL)
        fprintf(track->file, "\"%s\":%" PRIu64 "%s", what, record->what, record->kind == SKUAI_TRACE_SPARE ? "" : ",");
    if (record->kind != SKUAI_TRACE_SPARE)
        fprintf(track->file, "\"count\":%" PRIu64, record->more);
    fputs("}}", track->file);
}

static bool is_slice(enum skuai_trace_kind kind) { return kind <= SKUAI_TRACE_JOBS || kind == SKUAI_TRACE_SLEEP; }
static bool ends_slice(enum skuai_trace_kind kind)
{
    return is_slice(kind) || kind == SKUAI_TRACE_SEEK || kind == SKUAI_TRACE_AWAKE;
}

static void put_records(const struct track *track, uint64_t (*records)[SKUAI_TRACE_WORDS], uint64_t count)
{
    struct record open = { .kind = SKUAI_TRACE_SEEK }, record;
    for (uint64_t i = 0; i < count; i++) {
        record = decode(records[i]);
        if (ends_slice(record.kind)) {
            if (is_slice(open.kind))
                put_slice(track, &open, record.at_ns);
            open = record;
        } else if (record.kind == SKUAI_TRACE_STEAL) {
            put_mark(track, &record, "steal", "from_worker");
        } else if (record.kind == SKUAI_TRACE_TIMERS) {
            put_mark(track, &record, "timers", NULL);
        } else if (record.kind == SKUAI_TRACE_EVENTS) {
            put_mark(track, &record, "events", NULL);
        } else if (record.kind == SKUAI_TRACE_SPARE) {
            put_mark(track, &record, "spare begins", "spare");
        }
    }
    if (count != 0 && is_slice(open.kind)) /* it goes on */
        put_slice(track, &open, record.at_ns);
}

static void put_thread_name(const struct track *track, const char *name)
{
    fprintf(track->file, ",\n{\"ph\":\"M\",\"pid\":%ld,\"tid\":%" PRIu32 ",\"name\":\"thread_name\",", (long)getpid(),
            track->thread);
    fputs("\"args\":{\"name\":", track->file);
    put_text(track->file, name);
    fputs("}}", track->file);
}

/* What a ring held, copied. */
struct copied {
    uint64_t (*records)[SKUAI_TRACE_WORDS];
    uint64_t count;
};

static int copy(struct skuai_trace_ring *ring, struct copied *copied)
{
    if (ring == NULL)
        return 0;
    copied->records = malloc((size_t)ring->capacity * sizeof *copied->records);
    if (copied->records == NULL)
        return -ENOMEM;
    copied->count = skuai_trace_copy(ring, copied->records);
    return 0;
}

static void put_track(FILE *file, uint32_t thread, const char *name, const struct copied *copied, uint64_t zero_ns)
{
    const struct track track = { file, thread, zero_ns };
    put_thread_name(&track, name);
    put_records(&track, copied->records, copied->count);
}

static void put_all(FILE *file, const struct skuai_scheduler *sched, const struct copied *copied, uint32_t workers)
{
    uint64_t zero_ns = UINT64_MAX;
    char name[32];
    for (uint32_t i = 0; i <= workers; i++)
        if (copied[i].count != 0 && copied[i].records[0][0] < zero_ns)
            zero_ns = copied[i].records[0][0];
    fprintf(file, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n{\"ph\":\"M\",\"pid\":%ld,\"name\":\"process_name\","
                  "\"args\":{\"name\":\"skua\"}}", (long)getpid());
    put_track(file, GUARD_TRACK, "guard", &copied[workers], zero_ns);
    for (uint32_t i = 0; i < workers; i++) {
        bool is_spare = i >= sched->nworkers;
        snprintf(name, sizeof name, "%s %" PRIu32, is_spare ? "spare" : "worker", is_spare ? i - sched->nworkers : i);
        put_track(file, i + TRACKS_BEFORE_WORKERS, name, &copied[i], zero_ns);
    }
    fputs("\n]}\n", file);
}

static int write_file(const char *path, const struct skuai_scheduler *sched, const struct copied *copied,
                      uint32_t workers)
{
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return -errno;
    put_all(file, sched, copied, workers);
    int error = ferror(file) ? (errno != 0 ? errno : EIO) : 0;
    if (fclose(file) != 0 && error == 0)
        error = errno;
    return -error;
}

int skua_trace_write(skua_runtime *rt, const char *path)
{
    struct skuai_scheduler *sched = &rt->sched;
    struct skuai_trace *trace = &sched->trace;
    uint32_t workers = skuai_workers_all(sched);
    struct copied *copied = calloc(workers + 1, sizeof *copied);
    int rc = copied != NULL ? 0 : -ENOMEM;
    skuai_lock_acquire(&trace->lock); /* of who turns it on: which rings there are */
    struct skuai_trace_ring *guard = skuai_load_ptr(&trace->guard_kept, SKUAI_RELAXED);
    skuai_lock_release(&trace->lock);
    for (uint32_t i = 0; rc == 0 && i < workers; i++) {
        skuai_lock_acquire(&trace->lock);
        struct skuai_trace_ring *ring = skuai_load_ptr(&sched->workers[i]->trace_kept, SKUAI_RELAXED);
        skuai_lock_release(&trace->lock);
        rc = copy(ring, &copied[i]);
    }
    if (rc == 0)
        rc = copy(guard, &copied[workers]);
    if (rc == 0)
        rc = write_file(path, sched, copied, workers);
    for (uint32_t i = 0; copied != NULL && i <= workers; i++)
        free(copied[i].records);
    free(copied);
    return rc;
}
