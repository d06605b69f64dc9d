/*
 * The kernel's share of a start, an exec and a destroy: the system calls of ours, issued by C with nothing in between.
 *
 *     floor ROOT GROUP OWNER FILTER UNIFIED [HIERARCHY]…
 *
 * ROOT: the guest's root; GROUP: control groups are made below it in every hierarchy; OWNER: host id of the guest's
 * root; FILTER: a file with the system call filter as the kernel takes it; UNIFIED: where the v2 hierarchy is mounted,
 * followed by the places of the others. Reads lines "start N", "exec N", "destroy N"
 * and answers each with "ok" once it has happened. Two processes, as with us: the daemon's part makes groups, /dev,
 * maps and mounts; the keeper's part, in an empty mount namespace, clones, and is what the guest's init is a child of.
 * What a runtime adds to this is its own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 2048
#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define CHECK(call) ({ long got_ = (long)(call); if (got_ < 0) fail(#call, __LINE__); got_; })

enum { NOSUID = 2, NODEV = 4, NOEXEC = 8, READ_ONLY = 1 };
struct attributes { unsigned long long set, clear, propagation, user_namespace; };
struct how { unsigned long long flags, mode, resolve; };
struct clone_arguments {
    unsigned long long flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};
struct container { char group[80]; int unified, pidfd, master; } containers[MANY];

static const char *root, *parent, *hierarchies[16];
static int hierarchy_count;
static unsigned owner;
static struct sock_filter instructions[4096];
static struct sock_fprog filter = {0, instructions};

static void fail(const char *what, int line) {
    dprintf(2, "floor: line %d: %s: %s\n", line, what, strerror(errno));
    _exit(1);
}

/* Messages with descriptors */

static void pass(int channel, const char *text, const int *fds, int count) {
    char control[CMSG_SPACE(64 * sizeof(int))] = {0};
    struct iovec part = {(void *)text, strlen(text) + 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        *header = (struct cmsghdr){CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    }
    CHECK(sendmsg(channel, &message, MSG_NOSIGNAL));
}

static int take(int channel, char *text, size_t size, int *fds) {
    char control[CMSG_SPACE(64 * sizeof(int))];
    struct iovec part = {text, size};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(channel, &message, MSG_CMSG_CLOEXEC) <= 0) return -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    int count = header ? (header->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
    if (count) memcpy(fds, CMSG_DATA(header), count * sizeof(int));
    return count;
}

static void close_all(const int *fds, int count) { while (count--) close(fds[count]); }

/* Files and mounts */

static int put(int directory, const char *name, const char *text) {
    int fd = openat(directory, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    int wrote = write(fd, text, strlen(text));
    close(fd);
    return wrote;
}

static int make_filesystem(const char *type, unsigned attributes, const char *const *options) {
    int context = CHECK(syscall(SYS_fsopen, type, 1));
    CHECK(syscall(SYS_fsconfig, context, 1, "source", type, 0));
    for (; options && *options; options += 2) CHECK(syscall(SYS_fsconfig, context, 1, options[0], options[1], 0));
    CHECK(syscall(SYS_fsconfig, context, 6, 0, 0, 0));
    int mount = CHECK(syscall(SYS_fsmount, context, 1, attributes));
    close(context);
    return mount;
}

static int beneath(int directory, const char *path, int flags) {
    struct how how = {flags | O_CLOEXEC, 0, 0x08 | 0x04 | 0x02}; /* beneath, without links and magic links */
    return syscall(SYS_openat2, directory, path, &how, sizeof how);
}

static void attach(int mount, int directory, const char *path) {
    int target = CHECK(beneath(directory, path, O_PATH));
    struct stat status;
    fstat(target, &status);
    CHECK(syscall(SYS_move_mount, mount, "", target, "", 0x44));
    close(target);
}

static void mount_at(int directory, const char *path, const char *type, unsigned attributes, const char *const *options) {
    int mount = make_filesystem(type, attributes, options);
    attach(mount, directory, path);
    close(mount);
}

static void change(int fd, const char *path, int flags, struct attributes attributes) {
    CHECK(syscall(SYS_mount_setattr, fd, path, AT_RECURSIVE | flags, &attributes, sizeof attributes));
}

/* What becomes the guest's program */

static void confine(void) {
    int dropped[] = {16, 17, 25, 30, 34, 35, 36, 37, 38, 39};
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2];
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (size_t n = 0; n < LENGTH(dropped); n++) CHECK(prctl(PR_CAPBSET_DROP, dropped[n]));
    CHECK(syscall(SYS_capget, &header, sets));
    CHECK(syscall(SYS_capset, &header, sets));
}

static void become_root(void) {
    CHECK(syscall(SYS_setresgid, 0, 0, 0));
    CHECK(syscall(SYS_setgroups, 0, 0));
    CHECK(syscall(SYS_setresuid, 0, 0, 0));
    prctl(PR_SET_DUMPABLE, 0);
}

static void join(const int *fds, int count) { for (int n = 0; n < count; n++) CHECK(write(fds[n], "0", 1)); }

static void run(const char *program, const char *argument) {
    char *argv[] = {(char *)program, (char *)argument, 0}, *environment[] = {"PATH=/bin", 0};
    CHECK(chdir("/"));
    umask(022);
    int ignored[] = {SIGPIPE, SIGXFSZ, SIGHUP, SIGINT, SIGQUIT};
    for (size_t n = 0; n < LENGTH(ignored); n++) signal(ignored[n], SIG_DFL);
    syscall(SYS_close_range, 3, ~0u, 4);
    execve(program, argv, environment);
    fail(program, __LINE__);
}

static void loopback(void) {
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = CHECK(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    CHECK(ioctl(fd, SIOCSIFFLAGS, &request));
    close(fd);
}

/* First console: a terminal of the guest's own devpts, shown at two places. */
static int make_console(int tree) {
    int unlocked = 0, devpts = CHECK(beneath(tree, "dev/pts", O_RDONLY | O_DIRECTORY));
    int master = CHECK(openat(devpts, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
    CHECK(ioctl(master, TIOCSPTLCK, &unlocked));
    for (int n = 0; n < 2; n++) {
        int copy = CHECK(syscall(SYS_open_tree, devpts, "0", 1 | O_CLOEXEC));
        attach(copy, tree, n ? "dev/console" : "dev/tty1");
        close(copy);
    }
    close(devpts);
    return master;
}

static void first_process(int channel) {
    static const char *const devpts[] = {"ptmxmode", "0666", "mode", "0620", "gid", "5", 0};
    static const char *const shared[] = {"mode", "1777", 0};
    char text[16];
    int fds[64];
    signal(SIGTERM, SIG_DFL);
    CHECK(unshare(CLONE_NEWNET));
    loopback();
    CHECK(sethostname("floor", 5));
    int proc = make_filesystem("proc", NOSUID | NODEV | NOEXEC, 0);
    int sys = make_filesystem("sysfs", NOSUID | NODEV | NOEXEC | READ_ONLY, 0);
    int count = CHECK(take(channel, text, sizeof text, fds)), dev = fds[0], tree = fds[1];
    join(fds + 2, count - 2);
    become_root();
    CHECK(unshare(CLONE_NEWCGROUP));
    change(AT_FDCWD, "/", 0, (struct attributes){.propagation = MS_PRIVATE});
    int place = CHECK(open("/root", O_PATH | O_DIRECTORY | O_CLOEXEC));
    CHECK(syscall(SYS_move_mount, tree, "", place, "", 0x44));
    close(place);
    attach(proc, tree, "proc");
    attach(sys, tree, "sys");
    mount_at(tree, "sys/fs/cgroup", "cgroup2", NOSUID | NODEV | NOEXEC, 0);
    attach(dev, tree, "dev");
    mount_at(tree, "dev/pts", "devpts", NOSUID | NOEXEC, devpts);
    mount_at(tree, "dev/shm", "tmpfs", NOSUID | NODEV, shared);
    mount_at(tree, "dev/mqueue", "mqueue", NOSUID | NODEV | NOEXEC, 0);
    int master = make_console(tree);
    CHECK(fchdir(tree));
    CHECK(syscall(SYS_pivot_root, ".", "."));
    CHECK(umount2(".", MNT_DETACH));
    CHECK(chdir("/"));
    syscall(SYS_keyctl, 1, 0);
    CHECK(setsid());
    int terminal = CHECK(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    ioctl(terminal, TIOCSCTTY, 0);
    for (int n = 0; n < 3; n++) dup2(terminal, n);
    confine();
    pass(channel, "executing", &master, 1);
    run("/bin/sleep", "1000000");
}

static void entering_process(int init, const int *groups, int count) {
    join(groups, count);
    int kinds = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP;
    CHECK(setns(init, kinds));
    prctl(PR_SET_DUMPABLE, 0);
    syscall(SYS_keyctl, 1, 0);
    CHECK(setsid());
    become_root();
    confine();
    run("/bin/true", 0);
}

/* The keeper's part */

static void hide(void) {
    int own = make_filesystem("tmpfs", NOSUID | NODEV | NOEXEC, 0);
    const char *names[] = {"proc", "sys", "root"};
    CHECK(unshare(CLONE_NEWNS));
    change(AT_FDCWD, "/", 0, (struct attributes){.propagation = MS_PRIVATE});
    for (size_t n = 0; n < LENGTH(names); n++) CHECK(mkdirat(own, names[n], 0755));
    int place = CHECK(open("/proc", O_PATH | O_CLOEXEC));
    CHECK(syscall(SYS_move_mount, own, "", place, "", 0x44));
    close(place);
    mount_at(own, "proc", "proc", NOSUID | NODEV | NOEXEC, 0);
    mount_at(own, "sys", "sysfs", NOSUID | NODEV | NOEXEC, 0);
    CHECK(fchdir(own));
    CHECK(syscall(SYS_pivot_root, ".", "."));
    CHECK(umount2(".", MNT_DETACH));
    CHECK(chdir("/"));
}

static int spawn(unsigned long long flags, int group, int *pidfd) {
    struct clone_arguments arguments = {
        .flags = flags | CLONE_PIDFD | 0x200000000ULL, .pidfd = (unsigned long)pidfd, .exit_signal = SIGCHLD,
        .cgroup = group};
    return CHECK(syscall(SYS_clone3, &arguments, sizeof arguments));
}

static void act_as(unsigned id) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2];
    CHECK(syscall(SYS_setresgid, -1, id, -1));
    CHECK(syscall(SYS_setresuid, -1, id, -1));
    CHECK(syscall(SYS_capget, &header, sets));
    for (int n = 0; n < 2; n++) sets[n].effective = sets[n].permitted;
    CHECK(syscall(SYS_capset, &header, sets));
}

static int reap(int pidfd) {
    struct pollfd end = {pidfd, POLLIN, 0};
    siginfo_t how;
    poll(&end, 1, -1);
    CHECK(waitid(P_PIDFD, pidfd, &how, WEXITED));
    close(pidfd);
    return how.si_status;
}

static void keep(int channel) {
    static int pidfds[MANY], masters[MANY];
    char text[64];
    int fds[64], count, number, pidfd, ends[2], own = CHECK(open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC));
    prctl(PR_SET_DUMPABLE, 0);
    hide();
    while ((count = take(channel, text, sizeof text, fds)) >= 0) {
        if (sscanf(text, "start %d", &number) == 1) {
            CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
            act_as(owner);
            int pid = spawn(
                CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID, fds[0], &pidfds[number]);
            if (pid == 0) first_process(ends[1]);
            CHECK(syscall(SYS_setresuid, -1, 0, -1));
            CHECK(syscall(SYS_setresgid, -1, 0, -1));
            close(ends[1]);
            close_all(fds, count);
            snprintf(text, sizeof text, "%d", pid);
            pass(channel, text, 0, 0);
            count = CHECK(take(channel, text, sizeof text, fds));
            pass(ends[0], "go", fds, count);
            close_all(fds, count);
            if (take(ends[0], text, sizeof text, &masters[number]) != 1) fail("the first process ended", __LINE__);
            while (take(ends[0], text, sizeof text, fds) >= 0);
            close(ends[0]);
            int told[] = {pidfds[number], masters[number]};
            pass(channel, "running", told, 2);
        } else if (sscanf(text, "exec %d", &number) == 1) {
            CHECK(setns(pidfds[number], CLONE_NEWPID));
            if (spawn(0, fds[0], &pidfd) == 0) entering_process(pidfds[number], fds + 1, count - 1);
            CHECK(setns(own, CLONE_NEWPID));
            close_all(fds, count);
            pass(channel, reap(pidfd) ? "failed" : "ended", 0, 0);
        } else if (sscanf(text, "destroy %d", &number) == 1) {
            CHECK(syscall(SYS_pidfd_send_signal, pidfds[number], SIGKILL, 0, 0));
            reap(pidfds[number]);
            close(masters[number]);
            pass(channel, "dead", 0, 0);
        }
    }
    _exit(0);
}

/* The daemon's part */

static void record(const char *name) {
    char content[2000];
    memset(content, 'x', sizeof content);
    int fd = CHECK(open("new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    CHECK(write(fd, content, sizeof content));
    close(fd);
    CHECK(rename("new", name));
}

static int make_devices(void) {
    static const struct { const char *name; int major, minor; } nodes[] = {
        {"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
        {"net/tun", 10, 200}};
    static const char *const directories[] = {"pts", "shm", "mqueue", "net"}, *const files[] = {"console", "tty1"},
                      *const links[] = {"ptmx", "fd", "stdin", "stdout", "stderr"};
    char id[16];
    snprintf(id, sizeof id, "%u", owner);
    const char *const options[] = {"mode", "755", "size", "1m", "uid", id, "gid", id, 0};
    int dev = make_filesystem("tmpfs", NOSUID, options);
    for (size_t n = 0; n < LENGTH(directories); n++) {
        CHECK(mkdirat(dev, directories[n], 0755));
        CHECK(fchownat(dev, directories[n], owner, owner, 0));
    }
    for (size_t n = 0; n < LENGTH(nodes); n++) {
        CHECK(mknodat(dev, nodes[n].name, S_IFCHR | 0666, makedev(nodes[n].major, nodes[n].minor)));
        CHECK(fchownat(dev, nodes[n].name, owner, owner, 0));
    }
    for (size_t n = 0; n < LENGTH(files); n++) {
        CHECK(mknodat(dev, files[n], S_IFREG | 0600, 0));
        CHECK(fchownat(dev, files[n], owner, owner, 0));
    }
    for (size_t n = 0; n < LENGTH(links); n++) {
        CHECK(symlinkat("/proc/self/fd", dev, links[n]));
        CHECK(fchownat(dev, links[n], owner, owner, AT_SYMLINK_NOFOLLOW));
    }
    return dev;
}

static int make_unified(struct container *it) {
    char path[400];
    snprintf(path, sizeof path, "%s/%s/%s", hierarchies[0], parent, it->group);
    CHECK(mkdir(path, 0755));
    it->unified = CHECK(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
    CHECK(mkdirat(it->unified, "payload", 0755));
    int payload = CHECK(openat(it->unified, "payload", O_PATH | O_DIRECTORY | O_CLOEXEC));
    CHECK(fchownat(it->unified, "payload", owner, owner, 0));
    const char *files[] = {"cgroup.procs", "cgroup.threads", "cgroup.subtree_control"};
    for (size_t n = 0; n < LENGTH(files); n++) CHECK(fchownat(payload, files[n], owner, owner, 0));
    put(it->unified, "memory.max", "268435456"); /* where the unified hierarchy has it */
    return payload;
}

static int make_others(struct container *it, int *joins) {
    static const char *const rules[] = {"c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm",
                                        "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm", "c 10:200 rwm"};
    for (int n = 1; n < hierarchy_count; n++) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s/%s", hierarchies[n], parent, it->group);
        CHECK(mkdir(path, 0755));
        int group = CHECK(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
        put(group, "cpuset.cpus", "0-1");
        put(group, "cpuset.mems", "0");
        put(group, "memory.limit_in_bytes", "268435456");
        if (put(group, "devices.deny", "a") > 0) {
            int allow = CHECK(openat(group, "devices.allow", O_WRONLY | O_CLOEXEC));
            for (size_t rule = 0; rule < LENGTH(rules); rule++) CHECK(write(allow, rules[rule], strlen(rules[rule])));
            close(allow);
        }
        joins[n - 1] = CHECK(openat(group, "tasks", O_WRONLY | O_CLOEXEC));
        close(group);
    }
    return hierarchy_count - 1;
}

static void start(int channel, int number) {
    struct container *it = &containers[number];
    char text[64], map[64];
    int fds[64], told[2];
    snprintf(it->group, sizeof it->group, "machine-floor\\x2d%d.scope", number);
    int payload = make_unified(it);
    snprintf(text, sizeof text, "start %d", number);
    pass(channel, text, &payload, 1);
    close(payload);
    fds[0] = make_devices();
    int count = 2 + make_others(it, fds + 2);
    CHECK(take(channel, text, sizeof text, told));
    char path[64];
    snprintf(path, sizeof path, "/proc/%d", atoi(text));
    int process = CHECK(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
    snprintf(map, sizeof map, "0 %u 65536\n", owner);
    CHECK(put(process, "gid_map", map));
    CHECK(put(process, "uid_map", map));
    put(process, "oom_score_adj", "0");
    int user = CHECK(openat(process, "ns/user", O_RDONLY | O_CLOEXEC));
    fds[1] = CHECK(syscall(SYS_open_tree, AT_FDCWD, root, 1 | O_CLOEXEC | AT_RECURSIVE));
    change(fds[1], "", AT_EMPTY_PATH, (struct attributes){.propagation = MS_PRIVATE});
    change(fds[1], "", AT_EMPTY_PATH, (struct attributes){.set = 0x100000, .user_namespace = user}); /* idmapped */
    pass(channel, "go", fds, count);
    close_all(fds, count);
    close(user);
    close(process);
    if (take(channel, text, sizeof text, told) != 2) fail("the keeper's part ended", __LINE__);
    it->pidfd = told[0];
    it->master = told[1];
    record("domain.xml");
    record("record.json");
}

static void execute(int channel, int number) {
    struct container *it = &containers[number];
    char text[64];
    int fds[64], unused[64], count = 0;
    fds[count++] = CHECK(openat(it->unified, "payload", O_PATH | O_DIRECTORY | O_CLOEXEC));
    for (int n = 1; n < hierarchy_count; n++) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s/%s/tasks", hierarchies[n], parent, it->group);
        fds[count++] = CHECK(open(path, O_WRONLY | O_CLOEXEC));
    }
    snprintf(text, sizeof text, "exec %d", number);
    pass(channel, text, fds, count);
    close_all(fds, count);
    CHECK(take(channel, text, sizeof text, unused));
    if (strcmp(text, "ended")) fail("the command failed inside", __LINE__);
}

static void remove_group(const char *path) {
    for (int tries = 0; rmdir(path) < 0; tries++) {
        if (errno == ENOENT) return;
        if (tries > 20000) fail(path, __LINE__);
        usleep(50);
    }
}

static void destroy(int channel, int number) {
    struct container *it = &containers[number];
    char text[64], path[400];
    int unused[64];
    snprintf(text, sizeof text, "destroy %d", number);
    pass(channel, text, 0, 0);
    CHECK(take(channel, text, sizeof text, unused));
    close(it->pidfd);
    close(it->master);
    record("record.json");
    for (int n = 0; n < hierarchy_count; n++) {
        if (n == 0) unlinkat(it->unified, "payload", AT_REMOVEDIR);
        snprintf(path, sizeof path, "%s/%s/%s", hierarchies[n], parent, it->group);
        remove_group(path);
    }
    close(it->unified);
}

int main(int count, char **words) {
    if (count < 6) return dprintf(2, "usage: floor ROOT GROUP OWNER FILTER UNIFIED [HIERARCHY]…\n"), 2;
    root = words[1];
    parent = words[2];
    owner = strtoul(words[3], 0, 10);
    int fd = CHECK(open(words[4], O_RDONLY | O_CLOEXEC));
    filter.len = CHECK(read(fd, instructions, sizeof instructions)) / sizeof *instructions;
    close(fd);
    for (int n = 5; n < count && hierarchy_count < 16; n++) hierarchies[hierarchy_count++] = words[n];
    umask(0);
    int channel[2];
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel));
    if (CHECK(fork()) == 0) {
        close(channel[0]);
        keep(channel[1]);
    }
    close(channel[1]);
    char line[64];
    int number;
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "start %d", &number) == 1 && number < MANY) start(channel[0], number);
        else if (sscanf(line, "exec %d", &number) == 1) execute(channel[0], number);
        else if (sscanf(line, "destroy %d", &number) == 1) destroy(channel[0], number);
        CHECK(write(1, "ok\n", 3));
    }
    close(channel[0]);
    wait(0);
}
