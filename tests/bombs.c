/* Takes one kind of thing from the kernel until that refuses, and says after how many and by which error.
 *
 *     bombs KIND        once: `KIND COUNT ERROR`, or KILLED for whom the kernel killed for memory
 *     bombs KIND flood  again and again, for a minute at most
 *
 * Built statically by tests/bombs.py, and run in guests with limits alone. What nothing refuses ends at a count.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <unistd.h>

static int number;

static const char *name(void)
{
    static char own[32];
    snprintf(own, sizeof own, "bomb%d", number++);
    return own;
}

/* Each returns 0 if it took one more, else -1 with errno. */

static int take_process(void)
{
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    return child < 0 ? -1 : 0;
}

static int take_number(void)
{
    pid_t child = vfork();
    if (child == 0) _exit(0);
    if (child < 0) return -1;
    waitpid(child, 0, 0);
    if (++number == 2000) { errno = ETIME; return -1; }
    return 0;
}

static int take_memory(void)
{
    volatile char *area = malloc(1 << 16);
    if (!area) return -1;
    for (int each = 0; each < 1 << 16; each += 4096) area[each] = 1;
    return 0;
}

static int take_inotify(void) { return inotify_init1(0) < 0 ? -1 : 0; }

static int take_watch(void)
{
    static int watching = -1;
    if (watching < 0) watching = inotify_init1(0);
    char path[64];
    snprintf(path, sizeof path, "/tmp/%s", name());
    int made = open(path, O_CREAT | O_WRONLY, 0600);
    if (made < 0) return -1;
    close(made);
    return inotify_add_watch(watching, path, IN_MODIFY) < 0 ? -1 : 0;
}

static int take_terminal(void) { return open("/dev/ptmx", O_RDWR | O_NOCTTY) < 0 ? -1 : 0; }

static int take_mount(void)
{
    if (!number && (unshare(CLONE_NEWNS) || (mkdir("/tmp/mounted", 0700) && errno != EEXIST))) return -1;
    if (++number > 5000) { errno = ETIME; return -1; }
    return mount("bomb", "/tmp/mounted", "tmpfs", 0, "size=4k");
}

static int take_key(void)
{
    return syscall(SYS_add_key, "user", name(), "x", 1L, -3L) < 0 ? -1 : 0;
}

static int take_group(void)
{
    char path[64];
    snprintf(path, sizeof path, "/sys/fs/cgroup/%s", name());
    return mkdir(path, 0700);
}

static int take_line(const char *device, int most)
{
    static int log = -1;
    if (log < 0) log = open(device, O_WRONLY | O_NOCTTY | O_NONBLOCK);
    if (log < 0) return -1;
    char line[] = "a line of a bomb that says nothing and says it again and again and again\n";
    if (write(log, line, sizeof line - 1) < 0 && errno != EAGAIN) return -1;
    if (++number == most) { errno = ETIME; return -1; }
    return 0;
}

static int take_log(void) { return take_line("/dev/kmsg", 200000); }

static int take_console(void) { return take_line("/dev/console", 200000); }

static int take_disk(void)
{
    static int file = -1;
    static char block[1 << 16];
    if (file < 0) file = open("/disk/bomb", O_CREAT | O_WRONLY, 0600);
    if (file < 0) return -1;
    if (write(file, block, sizeof block) < 0) return -1;
    if (++number % 16 == 0) fsync(file);
    return 0;
}

static int take_inode(void)
{
    char path[64];
    snprintf(path, sizeof path, "/disk/%s", name());
    int made = open(path, O_CREAT | O_WRONLY, 0600);
    if (made < 0) return -1;
    close(made);
    return 0;
}

static int take_network(void)
{
    if (++number > 200) { errno = ETIME; return -1; }
    return unshare(CLONE_NEWNET);
}

static int take_name(void)
{
    struct stat told;
    char path[64];
    snprintf(path, sizeof path, "/tmp/no/such/%s", name());
    stat(path, &told);
    path[4] = '.';
    stat(path, &told);
    if (number == 300000) { errno = ETIME; return -1; }
    return 0;
}

static int take_packet(void)
{
    static int sender = -1;
    static char load[1400];
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (sender < 0) sender = socket(AF_INET, SOCK_DGRAM, 0);
    if (sendto(sender, load, sizeof load, 0, (void *)&where, sizeof where) < 0 && errno != ECONNREFUSED) return -1;
    if (++number == 200000) { errno = ETIME; return -1; }
    return 0;
}

static int take_sync(void)
{
    int file = open("/tmp/synced", O_CREAT | O_WRONLY, 0600);
    if (file < 0) return -1;
    if (write(file, "x", 1) < 0) return -1;
    sync();
    close(file);
    if (++number == 200) { errno = ETIME; return -1; }
    return 0;
}

static int take_crash(void)
{
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    pid_t child = fork();
    if (child == 0) {
        if (!chdir("/tmp")) setrlimit(RLIMIT_CORE, &all);
        take_memory();
        raise(SIGSEGV);
        _exit(0);
    }
    if (child < 0) return -1;
    waitpid(child, 0, 0);
    if (++number == 500) { errno = ETIME; return -1; }
    return 0;
}

static const struct { const char *kind; int (*take)(void); } kinds[] = {
    {"fork", take_process}, {"pid", take_number}, {"memory", take_memory}, {"inotify", take_inotify},
    {"watch", take_watch}, {"pty", take_terminal}, {"mount", take_mount}, {"key", take_key}, {"cgroup", take_group},
    {"log", take_log}, {"console", take_console}, {"disk", take_disk}, {"inode", take_inode}, {"netns", take_network},
    {"dentry", take_name}, {"packet", take_packet}, {"sync", take_sync}, {"crash", take_crash},
};

/* What was taken by a child and all its own ends with its process group. */
static int once(const char *kind, int (*take)(void))
{
    int told[2];
    if (pipe(told)) return 1;
    pid_t child = fork();
    if (child < 0) { printf("%s 0 EAGAIN\n", kind); return 0; }
    if (child == 0) {
        long counts[2] = {0, 0};
        setpgid(0, 0);
        while (!take()) {
            counts[0]++;
            if (counts[0] % 64 == 0) write(told[1], counts, sizeof counts);
        }
        counts[1] = errno;
        write(told[1], counts, sizeof counts);
        _exit(0);
    }
    close(told[1]);
    long counts[2] = {0, 0};
    int status;
    while (read(told[0], counts, sizeof counts) == sizeof counts && !counts[1]) ;
    waitpid(child, &status, 0);
    kill(-child, SIGKILL);
    close(told[0]);
    printf("%s %ld %s\n", kind, counts[0], WIFSIGNALED(status) ? "KILLED" : strerrorname_np(counts[1]));
    return 0;
}

int main(int count, char **words)
{
    if (count < 2) return 2;
    struct rlimit most = {4096, 4096};
    setrlimit(RLIMIT_NOFILE, &most);
    setvbuf(stdout, 0, _IONBF, 0);
    alarm(60);
    for (unsigned each = 0; each < sizeof kinds / sizeof *kinds; each++)
        if (!strcmp(kinds[each].kind, words[1])) {
            do
                if (once(words[1], kinds[each].take)) return 1;
            while (count > 2);
            return 0;
        }
    return 2;
}
