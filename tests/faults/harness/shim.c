/* Preloaded into a relay: lets its disk and its clock fail as a mapped file says.
 *
 * FAULTS_CONTROL names the file, see struct control. FAULTS_DIRECTORY is the directory whose files
 * fail; all others are left alone. Linux, glibc. Built and driven by shim.py.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct control {
    int64_t sync_errno;     /* what fsync and fdatasync fail with, 0: they work */
    int64_t sync_delay_us;  /* how long they take beside that */
    int64_t write_errno;    /* what writes fail with, 0: they work */
    int64_t clock_offset_s; /* how far the wall clock is off */
    int64_t hangs;          /* not 0: fsync, reads and writes do not return until it is 0 */
};

static struct control nothing;
static volatile struct control *control = &nothing;

__attribute__((constructor)) static void map_control(void)
{
    const char *path = getenv("FAULTS_CONTROL");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED)
        control = mapped;
    close(fd);
}

static int is_ours(int fd)
{
    char link[64], target[4096];
    const char *directory = getenv("FAULTS_DIRECTORY");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (!directory || length < 0)
        return 0;
    target[length] = 0;
    return strncmp(target, directory, strlen(directory)) == 0;
}

#define ORIGINAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void hang(int fd)
{
    if (control->hangs && is_ours(fd))
        while (control->hangs)
            usleep(10000);
}

static int fails_to_sync(int fd)
{
    hang(fd);
    if (!(control->sync_errno || control->sync_delay_us) || !is_ours(fd))
        return 0;
    usleep(control->sync_delay_us);
    errno = control->sync_errno;
    return errno != 0;
}

int fsync(int fd) { return fails_to_sync(fd) ? -1 : ORIGINAL(fsync)(fd); }

int fdatasync(int fd) { return fails_to_sync(fd) ? -1 : ORIGINAL(fdatasync)(fd); }

static int fails_to_write(int fd)
{
    hang(fd);
    if (!control->write_errno || !is_ours(fd))
        return 0;
    errno = control->write_errno;
    return 1;
}

ssize_t pwrite(int fd, const void *from, size_t size, off_t at)
{
    return fails_to_write(fd) ? -1 : ORIGINAL(pwrite)(fd, from, size, at);
}

ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at)
{
    return fails_to_write(fd) ? -1 : ORIGINAL(pwrite64)(fd, from, size, at);
}

ssize_t pread(int fd, void *to, size_t size, off_t at)
{
    hang(fd);
    return ORIGINAL(pread)(fd, to, size, at);
}

ssize_t pread64(int fd, void *to, size_t size, off64_t at)
{
    hang(fd);
    return ORIGINAL(pread64)(fd, to, size, at);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static __typeof__(&clock_gettime) original;
    if (!original)
        original = ORIGINAL(clock_gettime);
    int result = original(clock, now);
    if (clock == CLOCK_REALTIME)
        now->tv_sec += control->clock_offset_s;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    int result = ORIGINAL(gettimeofday)(now, zone);
    now->tv_sec += control->clock_offset_s;
    return result;
}

time_t time(time_t *now)
{
    time_t found = ORIGINAL(time)(NULL) + control->clock_offset_s;
    if (now)
        *now = found;
    return found;
}
