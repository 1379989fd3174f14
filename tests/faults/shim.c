/* Preloaded library that makes the file system misbehave below one folder.
 *
 * Operations that change files there are counted: write, fsync, rename, link, unlink, truncate,
 * mkdir, creation. FAULT="<mode>:<number>:<folder>", or arm() in the process itself, says what
 * happens at the operation of that number, or from it on:
 *
 *   count   nothing
 *   before  the process is killed before the operation
 *   torn    a write stores half of its bytes, then the process is killed; otherwise as before
 *   after   the process is killed after the operation
 *   full    from there on no byte can be written: ENOSPC
 *   fsync   from there on fsync fails: EIO
 *   slow    from there on fsync takes half a second
 *   locks   from there on every lock is granted, whoever holds it
 *   nolock  from there on no lock exists: ENOLCK
 *   back    from there on the clock is a day behind
 *   ahead   from there on the clock is a day ahead
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static char folder[PATH_MAX], mode[16];
static long at = -1, count;

void arm(const char *new_mode, long number, const char *new_folder) {
    snprintf(mode, sizeof mode, "%s", new_mode);
    snprintf(folder, sizeof folder, "%s", new_folder);
    at = number;
    count = 0;
}

long counted(void) { return count; }

__attribute__((constructor)) static void start(void) {
    char *given = getenv("FAULT"), *first, *second, copy[PATH_MAX];
    if (!given) return;
    snprintf(copy, sizeof copy, "%s", given);
    first = strchr(copy, ':');
    second = first ? strchr(first + 1, ':') : NULL;
    if (!second) return;
    *first = *second = 0;
    arm(copy, atol(first + 1), second + 1);
}

static int below(const char *path) {
    size_t length = strlen(folder);
    return length && !strncmp(path, folder, length);
}

static int descriptor_below(int fd) {
    char link[64], path[PATH_MAX];
    if (!*mode) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return below(path);
}

static int path_below(int fd, const char *path) {
    char full[PATH_MAX];
    if (!*mode) return 0;
    if (path[0] == '/') return below(path);
    if (fd != AT_FDCWD) return descriptor_below(fd);
    if (!getcwd(full, sizeof full)) return 0;
    strncat(full, "/", sizeof full - strlen(full) - 1);
    strncat(full, path, sizeof full - strlen(full) - 1);
    return below(full);
}

static int is(const char *name) { return !strcmp(mode, name); }
static int due(void) { return *mode && count >= at; }
static void end(void) { kill(getpid(), SIGKILL); for (;;) pause(); }

/* Count an operation that is about to happen; return -1 if it fails for lack of space. */
static int begin(int needs_space) {
    count++;
    if (count == at && (is("before") || is("torn"))) end();
    if (due() && needs_space && is("full")) { errno = ENOSPC; return -1; }
    return 0;
}
static void done(void) { if (count == at && is("after")) end(); }


ssize_t write(int fd, const void *data, size_t size) {
    if (!descriptor_below(fd)) return syscall(SYS_write, fd, data, size);
    if (count + 1 == at && is("torn")) { syscall(SYS_write, fd, data, size / 2); end(); }
    if (begin(1)) return -1;
    ssize_t result = syscall(SYS_write, fd, data, size);
    done();
    return result;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset) {
    int ours = descriptor_below(fd);
    if (ours && count + 1 == at && is("torn")) { syscall(SYS_pwrite64, fd, data, size / 2, offset); end(); }
    if (ours && begin(1)) return -1;
    ssize_t result = syscall(SYS_pwrite64, fd, data, size, offset);
    if (ours) done();
    return result;
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }

ssize_t sendfile64(int out, int in, off_t *offset, size_t size) {
    int ours = descriptor_below(out);
    if (ours && begin(1)) return -1;
    ssize_t result = syscall(SYS_sendfile, out, in, offset, size);
    if (ours) done();
    return result;
}
ssize_t sendfile(int out, int in, off_t *offset, size_t size) { return sendfile64(out, in, offset, size); }

static int synced(int fd, long number) {
    int ours = descriptor_below(fd);
    if (ours) {
        struct timespec half = {0, 500000000};
        begin(0);
        if (due() && is("fsync")) { errno = EIO; return -1; }
        if (due() && is("slow")) nanosleep(&half, NULL);
    }
    int result = syscall(number, fd);
    if (ours) done();
    return result;
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

int ftruncate64(int fd, off_t size) {
    int ours = descriptor_below(fd);
    if (ours) begin(0);
    int result = syscall(SYS_ftruncate, fd, size);
    if (ours) done();
    return result;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int changed(int ours, int needs_space, int (*change)(void *), void *what) {
    if (ours && begin(needs_space)) return -1;
    int result = change(what);
    if (ours) done();
    return result;
}

struct paths { int from_fd, to_fd, flags; const char *from, *to; mode_t mode; };
static int renamed(void *given) {
    struct paths *it = given;
    return syscall(SYS_renameat2, it->from_fd, it->from, it->to_fd, it->to, 0);
}
static int linked(void *given) {
    struct paths *it = given;
    return syscall(SYS_linkat, it->from_fd, it->from, it->to_fd, it->to, it->flags);
}
static int removed(void *given) {
    struct paths *it = given;
    return syscall(SYS_unlinkat, it->to_fd, it->to, it->flags);
}
static int made(void *given) {
    struct paths *it = given;
    return syscall(SYS_mkdirat, it->to_fd, it->to, it->mode);
}
static int opened(void *given) {
    struct paths *it = given;
    return syscall(SYS_openat, it->to_fd, it->to, it->flags, it->mode);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to) {
    struct paths it = {from_fd, to_fd, 0, from, to, 0};
    return changed(path_below(to_fd, to), 0, renamed, &it);
}
int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }
int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags) {
    struct paths it = {from_fd, to_fd, flags, from, to, 0};
    return changed(path_below(to_fd, to), 1, linked, &it);
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }
int unlinkat(int fd, const char *path, int flags) {
    struct paths it = {0, fd, flags, NULL, path, 0};
    return changed(path_below(fd, path), 0, removed, &it);
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int mkdirat(int fd, const char *path, mode_t bits) {
    struct paths it = {0, fd, 0, NULL, path, bits};
    return changed(path_below(fd, path), 1, made, &it);
}
int mkdir(const char *path, mode_t bits) { return mkdirat(AT_FDCWD, path, bits); }

static int open_any(int fd, const char *path, int flags, mode_t bits) {
    struct paths it = {0, fd, flags, NULL, path, bits};
    int makes = (flags & O_CREAT) && path_below(fd, path) && faccessat(fd, path, F_OK, AT_EACCESS);
    return changed(makes, 1, opened, &it);
}
#define OPENING(name, extra, fd) \
    int name(extra const char *path, int flags, ...) { \
        va_list rest; va_start(rest, flags); mode_t bits = va_arg(rest, mode_t); va_end(rest); \
        return open_any(fd, path, flags, flags & (O_CREAT | O_TMPFILE) ? bits : 0); \
    }
#define AT int folder_fd,
OPENING(open, , AT_FDCWD)
OPENING(open64, , AT_FDCWD)
OPENING(openat, AT, folder_fd)
OPENING(openat64, AT, folder_fd)

int flock(int fd, int what) {
    if (due() && descriptor_below(fd)) {
        if (is("locks")) return 0;
        if (is("nolock")) { errno = ENOLCK; return -1; }
    }
    return syscall(SYS_flock, fd, what);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME && due()) now->tv_sec += is("ahead") ? 86400 : is("back") ? -86400 : 0;
    return result;
}
