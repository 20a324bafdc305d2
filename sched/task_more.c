/* What few tasks have: a name and task-local values. Made on first use. */
#include "sched/lock.h"
#include "sched/scheduler.h"

#include <errno.h>
#include <string.h>

enum { NAME_MAX_BYTES = 32, LOCALS_FIRST = 4 };

struct local_value {
    const skua_local *key;
    void *value;
};

/* Made by the task's runner (or before the task is queued), and kept until the task is freed, because a handle may ask
 * for the name after the end. */
struct skuai_task_extension {
    struct skuai_lock lock;
    char name[NAME_MAX_BYTES]; /* guarded by lock; written by the runner only, which may read it without */
    /* the runner only, who changes them with the lock: jobs that were taken from it read them */
    uint32_t count, capacity;
    struct local_value *locals;
};

static struct skuai_task_extension *existing(const skua_task *task)
{
    /* Pairs with the release below. SEQ_CST: R1 (rundown.h), of who reads a name from outside; on x86 it is the same.
     * No model test runs this: model_rundown.c has its like. */
    return skuai_load_ptr(&task->more, SKUAI_SEQ_CST);
}

static struct skuai_task_extension *extension(skua_task *task)
{
    struct skuai_task_extension *more = existing(task);
    if (more == NULL && (more = skuai_memory_get(skuai_task_scheduler(task), sizeof *more)) != NULL) {
        *more = (struct skuai_task_extension){ .count = 0 };
        /* Whoever finds it finds it made. No model test runs this: one pair. */
        skuai_store_ptr(&task->more, more, SKUAI_RELEASE);
    }
    return more;
}

/* The last set first. A destructor runs outside of the task, so it sets none. */
void skuai_task_locals_destroy(skua_task *task)
{
    struct skuai_task_extension *more = existing(task);
    while (more->count > 0) {
        struct local_value last = more->locals[--more->count];
        if (last.value != NULL && last.key->destroy != NULL)
            last.key->destroy(last.value);
    }
}

void skuai_task_more_free(skua_task *task)
{
    struct skuai_scheduler *sched = skuai_task_scheduler(task);
    struct skuai_task_extension *more = existing(task);
    /* R2 (rundown.h). No model test runs this: as in existing(). */
    skuai_store_ptr(&task->more, NULL, SKUAI_SEQ_CST);
    while (SKUAI_UNLIKELY(!skuai_rundown_is_over(&sched->name_readers)))
        skuai_pause(); /* it copies a few bytes */
    if (more->locals != NULL)
        skuai_memory_put(sched, more->locals, more->capacity * sizeof *more->locals);
    skuai_memory_put(sched, more, sizeof *more);
}

int skuai_task_rename(skua_task *task, const char *name)
{
    struct skuai_task_extension *more = extension(task);
    if (more == NULL)
        return -ENOMEM;
    if (name == NULL)
        name = "";
    size_t length = strnlen(name, NAME_MAX_BYTES - 1);
    skuai_lock_acquire(&more->lock);
    memcpy(more->name, name, length);
    more->name[length] = '\0';
    skuai_lock_release(&more->lock);
    return 0;
}

const char *skuai_task_name(const skua_task *task)
{
    const struct skuai_task_extension *more = existing(task);
    return more != NULL ? more->name : "";
}

size_t skua_task_name(const skua_task *task, char *name, size_t size)
{
    struct skuai_task_extension *more = existing(task);
    char copy[NAME_MAX_BYTES] = "";
    if (more != NULL) {
        skuai_lock_acquire(&more->lock);
        memcpy(copy, more->name, sizeof copy);
        skuai_lock_release(&more->lock);
    }
    size_t length = strlen(copy);
    if (size > 0) {
        length = length < size ? length : size - 1;
        memcpy(name, copy, length);
        name[length] = '\0';
    }
    return length;
}

void skuai_task_name_from_outside(struct skuai_scheduler *sched, const skua_task *task, char *name, size_t size)
{
    skuai_rundown_enter(&sched->name_readers);
    skua_task_name(task, name, size);
    skuai_rundown_leave(&sched->name_readers);
}

int skua_self_set_name(const char *name)
{
    skua_task *task = skua_self();
    return task != NULL ? skuai_task_rename(task, name) : -EPERM;
}

static struct local_value *find_local(const skua_task *task, const skua_local *key)
{
    struct skuai_task_extension *more = task != NULL ? existing(task) : NULL;
    for (uint32_t i = 0; more != NULL && i < more->count; i++)
        if (more->locals[i].key == key)
            return &more->locals[i];
    return NULL;
}

void *skua_local_get(const skua_local *key)
{
    skua_task *self = skua_self();
    struct local_value *found = find_local(self, key);
    if (SKUAI_LIKELY(found != NULL))
        return found->value;
    for (const skua_task *task = self; task != NULL && (task = skuai_parallel_forker(task)) != NULL;) {
        struct skuai_task_extension *more = existing(task);
        if (more == NULL)
            continue;
        skuai_lock_acquire(&more->lock);
        void *value = (found = find_local(task, key)) != NULL ? found->value : NULL;
        skuai_lock_release(&more->lock);
        if (found != NULL)
            return value;
    }
    return NULL;
}

static bool grow_locals(struct skuai_scheduler *sched, struct skuai_task_extension *more)
{
    uint32_t capacity = more->capacity != 0 ? 2 * more->capacity : LOCALS_FIRST;
    struct local_value *locals = skuai_memory_get(sched, capacity * sizeof *locals);
    if (locals == NULL)
        return false;
    if (more->locals != NULL) {
        memcpy(locals, more->locals, more->count * sizeof *locals);
        skuai_memory_put(sched, more->locals, more->capacity * sizeof *locals);
    }
    more->locals = locals;
    more->capacity = capacity;
    return true;
}

int skua_local_set(const skua_local *key, void *value)
{
    skua_task *task = skua_self();
    if (task == NULL)
        return -EPERM;
    struct skuai_task_extension *more = extension(task);
    if (more == NULL)
        return -ENOMEM;
    struct local_value *found = find_local(task, key);
    bool has_room = true;
    skuai_lock_acquire(&more->lock);
    if (found != NULL)
        found->value = value;
    else if ((has_room = more->count < more->capacity || grow_locals(skuai_task_scheduler(task), more)))
        more->locals[more->count++] = (struct local_value){ .key = key, .value = value };
    skuai_lock_release(&more->lock);
    return has_room ? 0 : -ENOMEM;
}
