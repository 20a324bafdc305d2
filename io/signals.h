/* Signals, told to an eventfd. See signals_linux.c (N1 to N4); public: skua/signal.h. */
#ifndef SKUAI_SIGNALS_H
#define SKUAI_SIGNALS_H

struct skuai_signal_slot;

/* From now on each time that the signal comes 1 is added to the eventfd; what the signal did before it does no more.
 * Returns 0; -ENOSPC (64 watches are open in the process); what sigaction(2) fails with. */
int skuai_signal_watch(struct skuai_signal_slot **slot, int number, int fd);
/* When it returns nobody writes to the eventfd any more. */
void skuai_signal_unwatch(struct skuai_signal_slot *slot);

#endif
