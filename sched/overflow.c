/* Stack overflow is a message, not just a fault (overflow.h). */
#define _GNU_SOURCE
#include "sched/overflow.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sched/atomic.h"

enum { TEXT_BYTES = 512, ALT_STACK_BYTES = 1 << 16 }; /* room for an application's handler that prints a backtrace */

static const int signals[] = { SIGSEGV, SIGBUS };
enum { SIGNALS = sizeof signals / sizeof signals[0] };

/* What a signal handler cannot do without. The handler reads `previous` and `describe`, which are written before it is
 * installed. */
static struct {
    pthread_mutex_t lock; /* guards what follows against other installers; never taken in the handler */
    unsigned users;
    skua_wordptr describe; /* a pointer to the function's */
    struct sigaction previous[SIGNALS];
    bool is_covered[SIGNALS]; /* at the last uninstall another handler lay over ours */
} installed = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- the handler ---------------------------------------------------------------------------------------------- */

static void write_all(const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = write(STDERR_FILENO, text, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nowhere to say it */
        text += n;
        length -= (size_t)n;
    }
}

static void restore_default(int signal_number)
{
    struct sigaction action = { .sa_handler = SIG_DFL };
    sigemptyset(&action.sa_mask);
    sigaction(signal_number, &action, NULL);
}

/* A fault happens again as soon as the handler returns; a signal that somebody sent has to be sent again. */
static void default_action(int signal_number, const siginfo_t *info)
{
    restore_default(signal_number);
    if (info->si_code <= 0)
        raise(signal_number); /* blocked now; delivered when the handler returns */
}

void skuai_signal_chain(const struct sigaction *previous, int signal_number, siginfo_t *info, void *ucontext)
{
    if (((unsigned)previous->sa_flags & SA_RESETHAND) != 0)
        restore_default(signal_number); /* as the kernel would have done for it */
    if (previous->sa_flags & SA_SIGINFO) {
        previous->sa_sigaction(signal_number, info, ucontext);
    } else if (previous->sa_handler == SIG_IGN && info->si_code <= 0) {
        return; /* a fault cannot be ignored, what was sent can */
    } else if (previous->sa_handler == SIG_DFL || previous->sa_handler == SIG_IGN) {
        default_action(signal_number, info);
    } else {
        previous->sa_handler(signal_number);
    }
}

static void on_fault(int signal_number, siginfo_t *info, void *ucontext)
{
    int saved_errno = errno;
    char text[TEXT_BYTES];
    skuai_overflow_describe_fn *describe;
    void *function = skuai_load_ptr(&installed.describe, SKUAI_RELAXED); /* sigaction() ordered it before */
    memcpy(&describe, &function, sizeof describe);
    if (info->si_code > 0 && describe != NULL) {
        int length = describe(info->si_addr, text, sizeof text);
        if (length > 0) {
            write_all(text, (size_t)length < sizeof text ? (size_t)length : sizeof text);
            abort();
        }
    }
    skuai_signal_chain(&installed.previous[signal_number == signals[0] ? 0 : 1], signal_number, info, ucontext);
    errno = saved_errno;
}

/* ---- installing ----------------------------------------------------------------------------------------------- */

static bool is_ours(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == on_fault;
}

/* If the application had put a handler over ours, which may call ours, then ours must not call that one: it stays where
 * it is. Else the previous handler is what there is, and finds the signal mask that it asked for. */
static int take_over(int i)
{
    struct sigaction current;
    if (sigaction(signals[i], NULL, &current) != 0)
        return -errno;
    bool is_default = !(current.sa_flags & SA_SIGINFO) && current.sa_handler == SIG_DFL;
    if (is_ours(&current) || (installed.is_covered[i] && !is_default))
        return 0;
    installed.previous[i] = current;
    installed.is_covered[i] = false;
    struct sigaction action = { .sa_sigaction = on_fault,
                                .sa_mask = current.sa_mask,
                                .sa_flags = SA_SIGINFO | SA_ONSTACK | (current.sa_flags & (SA_NODEFER | SA_RESTART)) };
    return sigaction(signals[i], &action, NULL) == 0 ? 0 : -errno;
}

static void give_back(int i)
{
    struct sigaction current;
    if (sigaction(signals[i], NULL, &current) != 0)
        return;
    installed.is_covered[i] = !is_ours(&current);
    if (!installed.is_covered[i])
        sigaction(signals[i], &installed.previous[i], NULL);
}

void skuai_overflow_lock(void) { pthread_mutex_lock(&installed.lock); }
void skuai_overflow_unlock(void) { pthread_mutex_unlock(&installed.lock); }

int skuai_overflow_install(skuai_overflow_describe_fn *describe)
{
    int rc = 0;
    skuai_overflow_lock();
    if (installed.users == 0) {
        void *function;
        memcpy(&function, &describe, sizeof function);
        skuai_store_ptr(&installed.describe, function, SKUAI_RELAXED); /* before sigaction(), on this thread */
        rc = take_over(0);
        if (rc == 0 && (rc = take_over(1)) < 0)
            give_back(0);
    }
    if (rc == 0)
        installed.users++;
    skuai_overflow_unlock();
    return rc;
}

void skuai_overflow_uninstall(void)
{
    skuai_overflow_lock();
    if (--installed.users == 0)
        for (int i = 0; i < SIGNALS; i++)
            give_back(i);
    skuai_overflow_unlock();
}

static size_t alt_stack_bytes(void)
{
    size_t size = ALT_STACK_BYTES;
#if defined(_SC_SIGSTKSZ)
    long wanted = sysconf(_SC_SIGSTKSZ); /* grows with the processor's vector registers */
    if (wanted > (long)size)
        size = (size_t)wanted;
#endif
    return size;
}

int skuai_overflow_thread_init(struct skuai_overflow_thread *thread)
{
    stack_t current;
    *thread = (struct skuai_overflow_thread){ .mapping = NULL };
    if (sigaltstack(NULL, &current) == 0 && !(current.ss_flags & SS_DISABLE))
        return 0;
    size_t size = alt_stack_bytes();
    void *mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED)
        return -ENOMEM;
    stack_t ours = { .ss_sp = mapping, .ss_size = size };
    if (sigaltstack(&ours, NULL) != 0) {
        int rc = -errno;
        munmap(mapping, size);
        return rc;
    }
    *thread = (struct skuai_overflow_thread){ .mapping = mapping, .size = size };
    return 0;
}

void skuai_overflow_thread_fini(struct skuai_overflow_thread *thread)
{
    stack_t current, none = { .ss_flags = SS_DISABLE };
    if (thread->mapping == NULL)
        return;
    if (sigaltstack(NULL, &current) == 0 && current.ss_sp == thread->mapping)
        sigaltstack(&none, NULL);
    munmap(thread->mapping, thread->size);
    thread->mapping = NULL;
}

int skuai_overflow_stack_create(struct skuai_overflow_stack *stack)
{
    size_t size = alt_stack_bytes();
    void *mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *stack = (struct skuai_overflow_stack){ .mapping = NULL };
    if (mapping == MAP_FAILED)
        return -ENOMEM;
    stack->mapping = mapping;
    stack->size = size;
    return 0;
}

void skuai_overflow_stack_destroy(struct skuai_overflow_stack *stack)
{
    if (stack->mapping != NULL)
        munmap(stack->mapping, stack->size);
    stack->mapping = NULL;
}

/* A thread that is on its own signal stack keeps it. */
void skuai_overflow_thread_enter(struct skuai_overflow_stack *stack)
{
    stack_t ours = { .ss_sp = stack->mapping, .ss_size = stack->size };
    stack->entered = stack->mapping != NULL && sigaltstack(&ours, &stack->before) == 0;
}

void skuai_overflow_thread_leave(struct skuai_overflow_stack *stack)
{
    if (stack->entered)
        sigaltstack(&stack->before, NULL);
    stack->entered = false;
}

/* ---- the message, without printf, which may allocate ------------------------------------------------------------ */

static size_t append(char *text, size_t size, size_t at, const char *more)
{
    while (*more != '\0' && at + 1 < size)
        text[at++] = *more++;
    text[at] = '\0';
    return at;
}

static size_t append_number(char *text, size_t size, size_t at, size_t number)
{
    char digits[24];
    size_t first = sizeof digits - 1;
    digits[first] = '\0';
    do
        digits[--first] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    return append(text, size, at, digits + first);
}

int skuai_overflow_message(char *text, size_t size, const char *name, size_t stack_bytes)
{
    bool named = name != NULL && name[0] != '\0';
    size_t at = append(text, size, 0, "skua: ");
    at = append(text, size, at, named ? "fiber \"" : "a fiber without a name");
    at = append(text, size, at, named ? name : "");
    at = append(text, size, at, named ? "\" overflowed its stack of " : " overflowed its stack of ");
    at = append_number(text, size, at, stack_bytes);
    at = append(text, size, at, " bytes; raise skua_config.stack_size or the spawn attribute\n");
    return (int)at;
}
