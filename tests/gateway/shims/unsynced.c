/* Remembers what a power cut would lose: preloaded into a gateway, it writes down before every change to a
 * file below $UNSYNCED_FOLDER what was there, and that all is well whenever the file has been synced. Who
 * reads the journal $UNSYNCED_JOURNAL backwards can take back what was never synced. The files' own shared
 * memory (-shm) is left out: no start trusts it. Renames and removals count once their folder is synced.
 *
 * A record is a line, `W OFFSET LENGTH SIZE PATH` or `S PATH` or `R FROM TO`, and after a W the LENGTH bytes.
 * What is removed is kept under another name, to which an R says that it went. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static const char *folder;

#define REAL(name) static __typeof__(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    folder = getenv("UNSYNCED_FOLDER");
    journal = open(getenv("UNSYNCED_JOURNAL"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (!folder || journal < 0) abort();
}

static ssize_t note(const void *bytes, size_t length) {
    REAL(write);
    if (real(journal, bytes, length) != (ssize_t)length) abort();
    return length;
}

static int is_ours(const char *path) {
    size_t length = strlen(path), shared = strlen(folder);
    int below = !strncmp(path, folder, shared) && (path[shared] == '/' || !path[shared]);
    return below && !(length > 4 && !strcmp(path + length - 4, "-shm"));
}

/* Whether the file counts, and its path. */
static int path_of(int fd, char path[4096]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, 4095);
    path[length < 0 ? 0 : length] = 0;
    return folder && length > 0 && fd != journal && is_ours(path);
}

/* What stands where `length` bytes at `at` are about to be written or cut off; `at` is -1 at the end. */
static void remember(int fd, const char *path, off_t at, size_t length) {
    struct stat file;
    if (fstat(fd, &file)) abort();
    if (at < 0) at = file.st_size;
    size_t there = at >= file.st_size ? 0 : (size_t)(file.st_size - at) < length ? (size_t)(file.st_size - at) : length;
    char head[4200], *record = malloc(sizeof head + there);
    int size = snprintf(head, sizeof head, "W %ld %zu %ld %s\n", (long)at, there, (long)file.st_size, path);
    char own[64];
    snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
    int reader = open(own, O_RDONLY | O_CLOEXEC);
    memcpy(record, head, size);
    if (there && pread(reader, record + size, there, at) != (ssize_t)there) abort();
    close(reader);
    note(record, size + there);
    free(record);
}

#define TURN(call) pthread_mutex_lock(&turn); call; int why = errno; pthread_mutex_unlock(&turn); errno = why

ssize_t write(int fd, const void *bytes, size_t length) {
    REAL(write);
    char path[4096];
    struct stat file;
    if (fstat(fd, &file) || !S_ISREG(file.st_mode) || !path_of(fd, path)) return real(fd, bytes, length);
    off_t at = fcntl(fd, F_GETFL) & O_APPEND ? -1 : lseek(fd, 0, SEEK_CUR);
    TURN(remember(fd, path, at, length); ssize_t written = real(fd, bytes, length));
    return written;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    REAL(pwrite64);
    char path[4096];
    if (!path_of(fd, path)) return real(fd, bytes, length, at);
    TURN(remember(fd, path, at, length); ssize_t written = real(fd, bytes, length, at));
    return written;
}

int ftruncate64(int fd, off64_t size) {
    REAL(ftruncate64);
    char path[4096];
    if (!path_of(fd, path)) return real(fd, size);
    TURN(remember(fd, path, size, (size_t)1 << 40); int done = real(fd, size));
    return done;
}

/* While there is a file $UNSYNCED_JOURNAL.fail, no file can be synced whose path ends as it says. */
static int shall_fail(const char *path) {
    char order[4200], end[64];
    snprintf(order, sizeof order, "%s.fail", getenv("UNSYNCED_JOURNAL"));
    int file = open(order, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t length = read(file, end, sizeof end - 1);
    close(file);
    end[length < 0 ? 0 : length] = 0;
    return strlen(path) >= strlen(end) && !strcmp(path + strlen(path) - strlen(end), end);
}

static int synced(int fd, int (*real)(int)) {
    char path[4096];
    if (!path_of(fd, path)) return real(fd);
    if (shall_fail(path)) return errno = EIO, -1;
    char record[4200];
    TURN(int done = real(fd); if (!done) note(record, snprintf(record, sizeof record, "S %s\n", path)));
    return done;
}

int fsync(int fd) { REAL(fsync); return synced(fd, real); }
int fdatasync(int fd) { REAL(fdatasync); return synced(fd, real); }

int rename(const char *from, const char *to) {
    REAL(rename);
    if (!folder || !is_ours(from)) return real(from, to);
    char record[8300];
    TURN(note(record, snprintf(record, sizeof record, "R %s %s\n", from, to)); int done = real(from, to));
    return done;
}

int unlink(const char *path) {
    REAL(unlink);
    if (!folder || !is_ours(path)) return real(path);
    static unsigned removed;
    char kept[4200], record[8500];
    TURN(snprintf(kept, sizeof kept, "%s.%d.%u", getenv("UNSYNCED_JOURNAL"), getpid(), removed++);
         if (!link(path, kept)) note(record, snprintf(record, sizeof record, "R %s %s\n", path, kept));
         int done = real(path));
    return done;
}
