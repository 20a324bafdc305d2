/* Not yet: reports come without stacks. */
#include "sched/interrupt.h"

bool skuai_interrupt_may_use(int number) { return number == SIGURG; }
int skuai_interrupt_default(void) { return SIGURG; }
int skuai_interrupt_install(int number)
{
    (void)number;
    return 0;
}
void skuai_interrupt_uninstall(int number) { (void)number; }
void skuai_interrupt_open(int number) { (void)number; }
enum skuai_interrupt_end skuai_interrupt_ask(struct skuai_interrupt *interrupt, const struct skuai_thread *thread,
                                             int number, skua_word32 *stops)
{
    (void)interrupt;
    (void)thread;
    (void)number;
    (void)stops;
    return SKUAI_INTERRUPT_NONE;
}
void skuai_interrupt_escape(struct skuai_worker *worker) { (void)worker; }
void skuai_interrupt_lock(void) {}
void skuai_interrupt_unlock(void) {}
