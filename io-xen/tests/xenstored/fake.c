/* A hypervisor for xenstored and oxenstored on a machine without one, preloaded into them by the tests.
 *
 * Everything that they ask of Xen is answered from a directory, named by FAKE_XEN:
 *   ring-N   a file of one page: the ring of domain N, mapped shared; a domain without one cannot be introduced
 *   events   a FIFO of 32-bit event channel ports that are pending
 *   down-N   domain N has shut down
 *   dead-N   domain N is being torn down
 * oxenstored's fixed directory for its socket leads there too. Ports: 1 is the hypervisor's own event that a domain's
 * state has changed, 100 + N is domain N.
 *
 * The structures are not declared here, only the few words of them that the daemons look at.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { PAGE = 4096, STATE_PORT = 1, FIRST_DOMAIN_PORT = 100 };

static const char SOCKETS[] = "/var/run/xenstored";
static int handle; /* what stands for every handle of Xen's libraries */
static int events = -1;

static const char *place(char *buffer, const char *name, long number) {
    const char *directory = getenv("FAKE_XEN");
    if (directory == NULL) {
        fputs("fake.c: FAKE_XEN names no directory\n", stderr);
        abort();
    }
    if (number < 0)
        snprintf(buffer, PATH_MAX, "%s/%s", directory, name);
    else
        snprintf(buffer, PATH_MAX, "%s/%s-%ld", directory, name, number);
    return buffer;
}

static int stands(const char *name, long number) {
    char path[PATH_MAX];
    return access(place(path, name, number), F_OK) == 0;
}

/* Where a path of the daemon's leads. */
static const char *led(char *buffer, const char *path) {
    size_t length = sizeof SOCKETS - 1;
    if (strncmp(path, SOCKETS, length) != 0 || (path[length] != '/' && path[length] != '\0'))
        return path;
    return place(buffer, path[length] == '/' ? path + length + 1 : ".", -1);
}

/* --- files ------------------------------------------------------------------------------------------------------- */

static int opened(const char *path, int flags, int mode) {
    char buffer[PATH_MAX];
    int port = strcmp(path, "/proc/xen/xsd_port") == 0;
    if (!port && strcmp(path, "/proc/xen/xsd_kva") != 0)
        return syscall(SYS_openat, AT_FDCWD, led(buffer, path), flags, mode);
    int file = memfd_create("dom0", MFD_CLOEXEC);
    if (file < 0)
        return -1;
    /* Dom0's port as text, or dom0's ring, which nobody uses. */
    if (port ? write(file, "1", 1) != 1 || lseek(file, 0, SEEK_SET) != 0 : ftruncate(file, PAGE) != 0) {
        close(file);
        return -1;
    }
    return file;
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return opened(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return opened(path, flags, mode);
}

int mkdir(const char *path, mode_t mode) {
    char buffer[PATH_MAX];
    return syscall(SYS_mkdirat, AT_FDCWD, led(buffer, path), mode);
}

int unlink(const char *path) {
    char buffer[PATH_MAX];
    return syscall(SYS_unlinkat, AT_FDCWD, led(buffer, path), 0);
}

int bind(int socket, const struct sockaddr *address, socklen_t length) {
    char buffer[PATH_MAX];
    struct sockaddr_un led_to = {.sun_family = AF_UNIX};
    if (address->sa_family == AF_UNIX) {
        const char *path = led(buffer, ((const struct sockaddr_un *)address)->sun_path);
        if (strlen(path) >= sizeof led_to.sun_path) {
            errno = ENAMETOOLONG;
            return -1;
        }
        strcpy(led_to.sun_path, path);
        return syscall(SYS_bind, socket, &led_to, sizeof led_to);
    }
    return syscall(SYS_bind, socket, address, length);
}

/* Both raise their limit of descriptors, which not everybody may. */
int setrlimit(int resource, const void *limit) { return 0; }
int setrlimit64(int resource, const void *limit) { return 0; }

/* --- domains ----------------------------------------------------------------------------------------------------- */

void *xc_interface_open(void *logger, void *dombuild_logger, unsigned flags) { return &handle; }
int xc_interface_close(void *xc) { return 0; }

/* As C xenstored sees a domain: its number, then after a word the bits "dying", "crashed", "shut down". */
int xc_domain_getinfo(void *xc, uint32_t first, unsigned count, uint32_t *info) {
    if (count == 0)
        return 0;
    memset(info, 0, 12);
    info[0] = first;
    info[2] = (stands("dead", first) ? 1 : 0) | (stands("down", first) ? 4 : 0);
    return 1;
}

/* As oxenstored sees it: its number in 16 bits, then after another 16 the bits "dying" (0) and "shut down" (2). */
int xc_domain_getinfolist(void *xc, uint32_t first, unsigned count, void *info) {
    if (count == 0)
        return 0;
    memset(info, 0, 96);
    uint16_t domid = first;
    uint32_t flags = (stands("dead", first) ? 1 : 0) | (stands("down", first) ? 4 : 0);
    memcpy(info, &domid, sizeof domid);
    memcpy((char *)info + 4, &flags, sizeof flags);
    return 1;
}

static void *ring(long domid) {
    char path[PATH_MAX];
    int file = syscall(SYS_openat, AT_FDCWD, place(path, "ring", domid), O_RDWR | O_CLOEXEC, 0);
    if (file < 0) {
        errno = EINVAL;
        return NULL;
    }
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    return page == MAP_FAILED ? NULL : page;
}

void *xc_map_foreign_range(void *xc, uint32_t domid, int size, int prot, unsigned long frame) { return ring(domid); }
void *xengnttab_open(void *logger, unsigned flags) { return &handle; }
int xengnttab_close(void *xgt) { return 0; }
int xengnttab_set_max_grants(void *xgt, uint32_t count) { return 0; }
void *xengnttab_map_grant_ref(void *xgt, uint32_t domid, uint32_t ref, int prot) { return ring(domid); }
int xengnttab_unmap(void *xgt, void *page, uint32_t count) { return munmap(page, (size_t)count * PAGE); }

/* --- event channels ---------------------------------------------------------------------------------------------- */

void *xenevtchn_open(void *logger, unsigned flags) {
    char path[PATH_MAX];
    if (events < 0)
        events = syscall(SYS_openat, AT_FDCWD, place(path, "events", -1), O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
    return events < 0 ? NULL : &handle;
}

void *xenevtchn_fdopen(void *logger, int fd, unsigned flags) { return xenevtchn_open(logger, flags); }
int xenevtchn_close(void *xce) { return 0; }
int xenevtchn_fd(void *xce) { return events; }
int xenevtchn_bind_virq(void *xce, unsigned virq) { return STATE_PORT; }
int xenevtchn_bind_interdomain(void *xce, uint32_t domid, uint32_t port) { return FIRST_DOMAIN_PORT + (int)domid; }
int xenevtchn_unbind(void *xce, uint32_t port) { return 0; }
int xenevtchn_unmask(void *xce, uint32_t port) { return 0; }
int xenevtchn_notify(void *xce, uint32_t port) { return 0; } /* the test looks at the ring by itself */

int xenevtchn_pending(void *xce) {
    int32_t port;
    return read(events, &port, sizeof port) == sizeof port ? port : -1;
}
