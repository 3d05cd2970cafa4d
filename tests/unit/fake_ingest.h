/* fake_ingest.h - the rest of fake_store.h: what store/ingest.h offers. */
#ifndef FAKE_INGEST_H
#define FAKE_INGEST_H

int ingest_open(struct ingest *in, struct store *s, const struct digest *d, uint64_t size,
                bool resume, struct err *err)
{
    DISK_FIND(files, row, d)
    *in = (struct ingest){.store = s, .digest = *d, .fd = -1};
    disk.opens++;
    if (disk.refuses_open) {
        return err_set(err, ERR_NO_SPACE, "the disk is full");
    }
    assert(row >= 0 && !disk.files[row].claimed); /* never two on one file */
    if (disk.files[row].digest.alg == 0) {
        disk.files[row].digest = *d;
        disk.files[row].fd = memfd_create("ingest", MFD_CLOEXEC);
    }
    disk.files[row].claimed = true;
    in->claim = &disk.files[row].claim;
    in->fd = dup(disk.files[row].fd);
    if (fake_get_partial(d, &in->partial) == INDEX_FOUND && resume &&
        (size == UINT64_MAX || in->partial.stored <= size)) {
        in->resumed = in->partial.stored;
    }
    return ftruncate(in->fd, (off_t)in->resumed);
}

int ingest_write(struct ingest *in, const void *p, size_t n, uint64_t offset, struct err *err)
{
    if (disk.refuses_write > 0 && --disk.refuses_write == 0) {
        disk.refuses_write = 1; /* and from now on */
        return err_set(err, ERR_NO_SPACE, "the disk is full");
    }
    return file_pwrite_all(in->fd, p, n, offset);
}

int ingest_sync(struct ingest *in)
{
    (void)in;
    return 0;
}

int ingest_restart(struct ingest *in, struct err *err)
{
    (void)err;
    in->resumed = 0;
    return ftruncate(in->fd, 0);
}

/* Lets go of the file; it stays where `keep`. */
static inline void disk_end(struct ingest *in, bool keep)
{
    DISK_FIND(files, row, &in->digest)
    disk.files[row].claimed = false;
    disk.reserved -= in->reserved;
    in->reserved = 0;
    if (!keep) {
        close(disk.files[row].fd);
        disk.files[row].digest = FAKE_NONE;
    }
}

int ingest_commit(struct ingest *in, uint64_t size, bool sync, struct err *err)
{
    DISK_FIND(blobs, row, &in->digest)
    (void)sync;
    if (disk.refuses_commit) {
        return err_set(err, ERR_STORE, "the disk is broken");
    }
    assert(ftruncate(in->fd, (off_t)size) == 0 && row >= 0);
    disk.blobs[row].digest = in->digest;
    disk.blobs[row].fd = dup(in->fd);
    disk_end(in, false);
    return 0;
}

void ingest_moved(struct ingest *in)
{
    disk_end(in, false);
}

void ingest_recorded(struct ingest *in)
{
    (void)in;
}

void ingest_close(struct ingest *in)
{
    if (in->fd >= 0) {
        close(in->fd);
        in->fd = -1;
    }
}

int ingest_keep(struct ingest *in, struct partial_record *p, struct err *err)
{
    if (disk.refuses_keep) {
        return err_set(err, ERR_STORE, "the disk is broken");
    }
    assert(ftruncate(in->fd, (off_t)p->stored) == 0);
    disk_end(in, true);
    close(in->fd);
    return 0;
}

void ingest_drop(struct ingest *in)
{
    disk_end(in, false);
    close(in->fd);
}

#endif
