/* The Nth I/O operation fails: a library for LD_PRELOAD that stands between a program and libc.

   Of the files below one folder (IO_FAULT_FOLDER) it counts each open, read, write, sync and truncation. The page that
   IO_FAULT_CONTROL names, mapped by the test as well, says which of them fail, and with which error; the counts are
   shared by all processes that have the page. Nothing else is touched: no other file, no lock, no memory map.

   It also keeps what a power failure would leave. In IO_FAULT_DURABLE each file has a twin, to which a write comes when
   a sync of its file succeeds. When a sync fails, what was written since the last one never comes: a kernel marks such
   pages as clean, so that the next sync says ok and has not written them.

   Limits: Linux; a removed file counts as removed at once, and a new one as there once it is synced. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind { OPEN, READ, WRITE, SYNC, TRUNCATE, KINDS };
enum { FILES = 16, FDS = 4096, RANGES = 8192, PATH = 512 };

/* shim.py knows this layout; all members have 32 bits. */
struct control {
  _Atomic uint32_t armed;  /* operations are counted, and may fail */
  _Atomic uint32_t count;
  uint32_t fail_from;      /* the number of the first that fails, from 1; 0: none */
  uint32_t lasting;        /* all that follow fail too */
  uint32_t error;          /* errno */
  uint32_t torn;           /* half of the first write that fails is written, and said to be */
  uint32_t kinds;          /* bits: those that are counted */
  _Atomic uint32_t failed;
  _Atomic uint32_t by_kind[KINDS]; /* of the failed */
};

struct range { off_t from; size_t size; };
static struct file {
  char path[PATH], twin[PATH];
  int is_durable;          /* it has a twin */
  size_t used;
  struct range written[RANGES]; /* since the last sync */
} files[FILES];
static unsigned char file_of[FDS]; /* its place in `files` plus 1 */
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static struct control *control;
static const char *folder, *durable;

static int (*real_open)(const char *, int, ...);
static int (*real_close)(int);
static int (*real_unlink)(const char *);
static ssize_t (*real_read)(int, void *, size_t);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pread)(int, void *, size_t, off_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off_t);

__attribute__((constructor)) static void begin(void) {
  real_open = dlsym(RTLD_NEXT, "open64");
  real_close = dlsym(RTLD_NEXT, "close");
  real_unlink = dlsym(RTLD_NEXT, "unlink");
  real_read = dlsym(RTLD_NEXT, "read");
  real_write = dlsym(RTLD_NEXT, "write");
  real_pread = dlsym(RTLD_NEXT, "pread64");
  real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
  folder = getenv("IO_FAULT_FOLDER");
  durable = getenv("IO_FAULT_DURABLE");
  const char *page = getenv("IO_FAULT_CONTROL");
  int fd = page ? real_open(page, O_RDWR | O_CLOEXEC) : -1;
  if (!folder || !durable || fd < 0) return;
  void *shared = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  real_close(fd);
  if (shared != MAP_FAILED) control = shared;
}

static int is_ours(const char *path) {
  size_t size = folder ? strlen(folder) : 0;
  return control && size && path && !strncmp(path, folder, size) && (path[size] == '/' || !path[size]);
}

/* Whether this operation is to fail; errno is set then. `is_first`: no other has failed before. */
static int fails(enum kind kind, int *is_first) {
  if (!control || !control->armed || !(control->kinds & 1u << kind)) return 0;
  uint32_t number = atomic_fetch_add(&control->count, 1) + 1;
  if (!control->fail_from || number < control->fail_from || (number > control->fail_from && !control->lasting)) return 0;
  *is_first = atomic_fetch_add(&control->failed, 1) == 0;
  atomic_fetch_add(&control->by_kind[kind], 1);
  errno = kind == READ && control->error == ENOSPC ? EIO : (int)control->error;
  return 1;
}

static struct file *of(int fd) { return fd >= 0 && fd < FDS && file_of[fd] ? &files[file_of[fd] - 1] : NULL; }

static void remember(int fd, const char *path) {
  if (fd < 0 || fd >= FDS) return;
  pthread_mutex_lock(&guard);
  for (int place = 0; place < FILES; place++) {
    struct file *file = &files[place];
    if (!*file->path) {
      const char *name = strrchr(path, '/') + 1;
      size_t size = strlen(name);
      snprintf(file->path, PATH, "%s", path);
      snprintf(file->twin, PATH, "%s/%s", durable, name);
      file->is_durable = path[strlen(folder)] == '/' && !(size > 4 && !strcmp(name + size - 4, "-shm"));
    }
    if (!strcmp(file->path, path)) {
      file_of[fd] = (unsigned char)(place + 1);
      break;
    }
  }
  pthread_mutex_unlock(&guard);
}

static void wrote(struct file *file, off_t from, ssize_t size) {
  if (!file->is_durable || size <= 0) return;
  pthread_mutex_lock(&guard);
  if (file->used == RANGES) abort(); /* a test of a larger workload needs a larger table */
  file->written[file->used++] = (struct range){from, (size_t)size};
  pthread_mutex_unlock(&guard);
}

static void synced(int fd, struct file *file, int is_well) {
  int was = errno;
  struct stat status;
  char bytes[65536];
  if (!file->is_durable) return;
  pthread_mutex_lock(&guard);
  int twin = is_well ? real_open(file->twin, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
  if (twin >= 0 && !fstat(fd, &status)) {
    for (size_t n = 0; n < file->used; n++) {
      off_t at = file->written[n].from, end = at + (off_t)file->written[n].size;
      while (at < end) {
        size_t size = (size_t)(end - at) < sizeof bytes ? (size_t)(end - at) : sizeof bytes;
        ssize_t got = real_pread(fd, bytes, size, at); /* as it is now: it may have been cut meanwhile */
        if (got <= 0 || real_pwrite(twin, bytes, (size_t)got, at) != got) break;
        at += got;
      }
    }
    if (real_ftruncate(twin, status.st_size)) abort();
  }
  if (twin >= 0) real_close(twin);
  file->used = 0;
  pthread_mutex_unlock(&guard);
  errno = was;
}

static int opened(const char *path, int flags, mode_t mode) {
  int is_first;
  if (!is_ours(path)) return real_open(path, flags, mode);
  if (fails(OPEN, &is_first)) return -1;
  int fd = real_open(path, flags, mode);
  remember(fd, path);
  return fd;
}

#define OPEN_WITH_MODE                                 \
  mode_t mode = 0;                                     \
  if (flags & (O_CREAT | O_TMPFILE)) {                 \
    va_list more;                                      \
    va_start(more, flags);                             \
    mode = va_arg(more, mode_t);                       \
    va_end(more);                                      \
  }                                                    \
  return opened(path, flags, mode)

int open(const char *path, int flags, ...) { OPEN_WITH_MODE; }
int open64(const char *path, int flags, ...) { OPEN_WITH_MODE; }

int close(int fd) {
  if (of(fd)) file_of[fd] = 0;
  return real_close(fd);
}

int unlink(const char *path) {
  int code = real_unlink(path);
  if (code || !is_ours(path)) return code;
  for (int place = 0; place < FILES; place++) {
    if (strcmp(files[place].path, path)) continue;
    files[place].used = 0;
    real_unlink(files[place].twin);
  }
  errno = 0;
  return 0;
}

ssize_t pread64(int fd, void *bytes, size_t size, off_t at) {
  int is_first;
  return of(fd) && fails(READ, &is_first) ? -1 : real_pread(fd, bytes, size, at);
}

ssize_t read(int fd, void *bytes, size_t size) {
  int is_first;
  return of(fd) && fails(READ, &is_first) ? -1 : real_read(fd, bytes, size);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t at) {
  struct file *file = of(fd);
  int is_first;
  if (file && fails(WRITE, &is_first)) {
    if (!control->torn || !is_first || size < 2) return -1;
    size /= 2; /* whoever goes on is told the error by the next write, if that lasts */
  }
  ssize_t done = real_pwrite(fd, bytes, size, at);
  if (file) wrote(file, at, done);
  return done;
}

ssize_t write(int fd, const void *bytes, size_t size) {
  struct file *file = of(fd);
  return file ? pwrite64(fd, bytes, size, lseek(fd, 0, SEEK_CUR)) : real_write(fd, bytes, size);
}

static int sync_with(int (*real)(int), int fd) {
  struct file *file = of(fd);
  int is_first, code;
  if (!file) return real(fd);
  code = fails(SYNC, &is_first) ? -1 : 0; /* the test's machine need not wait for its disk */
  synced(fd, file, code == 0);
  return code;
}

int fsync(int fd) { return sync_with(real_fsync, fd); }
int fdatasync(int fd) { return sync_with(real_fdatasync, fd); }

int ftruncate64(int fd, off_t size) {
  int is_first;
  return of(fd) && fails(TRUNCATE, &is_first) ? -1 : real_ftruncate(fd, size);
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }
