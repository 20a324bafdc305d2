/* The page that is shown. */
#ifndef TOP_VIEW_H
#define TOP_VIEW_H

#include <stdio.h>

#include "process.h"
#include "sample.h"

/* For people and for good: what was counted since the start. */
void view_print(FILE *to, const struct process *process, const struct sample *sample);

/* For a terminal of so many columns and lines: rates between two samples, the workers from `first` on. */
void view_draw(FILE *to, const struct process *process, const struct sample *before, const struct sample *now,
               int columns, int lines, uint32_t first);

#endif
