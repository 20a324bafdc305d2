/* See sample.h. */
#include "sample.h"

#include <stdlib.h>
#include <string.h>

void sample_each_pair(const char *line, sample_pair *visit, void *context)
{
    for (const char *at = strchr(line, ' '); at != NULL; at = strchr(at, ' ')) {
        at++;
        size_t name_length = strcspn(at, "= ");
        if (at[name_length] != '=')
            continue;
        const char *value = at + name_length + 1;
        visit(context, at, name_length, value, strcspn(value, " "));
    }
}

static bool is(const char *name, size_t length, const char *expected)
{
    return strlen(expected) == length && memcmp(name, expected, length) == 0;
}

static void add_total(void *context, const char *name, size_t name_length, const char *value, size_t value_length)
{
    struct sample *sample = context;
    (void)value_length;
#define X(total)                                       \
    if (is(name, name_length, #total))                 \
        sample->total = strtoull(value, NULL, 10);
    TOP_TOTALS(X)
#undef X
}

static void add_counter(void *context, const char *name, size_t name_length, const char *value, size_t value_length)
{
    struct worker *worker = context;
    if (is(name, name_length, "kind"))
        worker->is_spare = is(value, value_length, "spare");
    if (is(name, name_length, "state"))
        worker->is_awake = is(value, value_length, "awake");
#define X(counter)                                     \
    if (is(name, name_length, #counter))               \
        worker->counter = strtoull(value, NULL, 10);
    TOP_COUNTERS(X)
#undef X
}

static struct worker *next_worker(struct sample *sample)
{
    if (sample->nworkers == sample->room) {
        uint32_t room = sample->room == 0 ? 16 : 2 * sample->room;
        struct worker *of = realloc(sample->of, room * sizeof *of);
        if (of == NULL)
            return NULL;
        sample->of = of;
        sample->room = room;
    }
    sample->of[sample->nworkers] = (struct worker){ .is_spare = false };
    return &sample->of[sample->nworkers++];
}

bool sample_add_line(struct sample *sample, const char *line)
{
    if (strncmp(line, "runtime ", 8) == 0 || strncmp(line, "pools ", 6) == 0) {
        sample_each_pair(line, add_total, sample);
    } else if (strncmp(line, "worker ", 7) == 0) {
        struct worker *worker = next_worker(sample);
        if (worker == NULL)
            return false;
        sample_each_pair(line, add_counter, worker);
    }
    return true;
}

void sample_clear(struct sample *sample)
{
    *sample = (struct sample){ .of = sample->of, .room = sample->room };
}

void sample_free(struct sample *sample)
{
    free(sample->of);
    *sample = (struct sample){ .of = NULL };
}

void sample_swap(struct sample *a, struct sample *b)
{
    struct sample kept = *a;
    *a = *b;
    *b = kept;
}
