/* What reports know of selects. See select.c. */
#ifndef SKUAI_SELECT_H
#define SKUAI_SELECT_H

#include "skua/select.h"

/* What a selection's frame is polled by: tells it from other frames. */
enum skua_poll skuai_select_poll(skua_frame *frame);

/* Calls back for each of its arms that waits. */
void skuai_select_each_arm(const skua_selection *selection, void (*visit)(void *context, skua_op *op), void *context);

#endif
