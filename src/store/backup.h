/*
 * store/backup.h - index.bak, a compact copy of the index: hourly where something changed, and at a
 * clean stop unless the copy would take long.
 */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include "store/inner.h"

#define BACKUP_NAME "index.bak"

struct backup *backup_new(struct store *s);
void backup_free(struct backup *b);

/* Something was committed that is worth a copy. Writer thread. */
void backup_note(struct backup *b);
/* Starts what is due; when to ask again. Writer thread. */
uint64_t backup_tick(struct backup *b, uint64_t now);
/* At a clean stop; the writer does not run any more. */
void backup_finish(struct backup *b);

/* Puts the copy into `dir`, in the place of the index. False: there is none, or it cannot be copied
 * (logged). */
bool backup_restore(int data_fd, const char *dir) MUST_CHECK;

#endif
