/* The spawner: clones processes on the keeper's behalf, whose children play programs of system calls.
 *
 * The keeper executes it from a sealed memory file, once it has moved into its empty root, and sends it orders over a
 * SOCK_SEQPACKET socket: descriptor 0 here, 1 is the null device. There are no answers: whoever is cloned says so itself,
 * on the channel that came with the order, by a descriptor of itself, before it does anything. What cannot be cloned is
 * said there too. So no process can exist that the keeper does not hear of, whoever is killed at whatever instant: with
 * the last of us who has it, the channel ends.
 *
 * It is small so that to fork it costs little. It shares no memory with the keeper, nor with any child: what a guest
 * does to a process on its way in (kills for memory, traces, stops) meets that one alone.
 *
 * No libc: it is about to become programs of guests. Sources: clone(2), cmsg(3), the kernel's syscall tables.
 */

typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef int i32;
typedef long i64;

/* Machines */

#if defined(__x86_64__)
enum {
    WRITE = 1, CLOSE = 3, LSEEK = 8, MMAP = 9, SIGPROCMASK = 14, YIELD = 24, GETPID = 39, SENDMSG = 46, RECVMSG = 47,
    FCNTL = 72, SETRESUID = 117, SETRESGID = 119, CAPGET = 125, CAPSET = 126, PRCTL = 157, EXIT_GROUP = 231, OPENAT = 257,
    DUP3 = 292, PRLIMIT = 302, SETNS = 308,
};
static i64 invoke(i64 number, i64 a, i64 b, i64 c, i64 d, i64 e, i64 f)
{
    register i64 r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return number;
}
__asm__(".globl _start\n_start: xor %ebp, %ebp\n and $-16, %rsp\n call serve\n");
#elif defined(__aarch64__)
enum {
    DUP3 = 24, FCNTL = 25, OPENAT = 56, CLOSE = 57, LSEEK = 62, WRITE = 64, CAPGET = 90, CAPSET = 91, EXIT_GROUP = 94,
    YIELD = 124, SIGPROCMASK = 135, SETRESUID = 147, SETRESGID = 149, PRCTL = 167, GETPID = 172, SENDMSG = 211,
    RECVMSG = 212, MMAP = 222, PRLIMIT = 261, SETNS = 268,
};
static i64 invoke(i64 number, i64 a, i64 b, i64 c, i64 d, i64 e, i64 f)
{
    register i64 x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    register i64 x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
__asm__(".globl _start\n_start: mov x29, #0\n mov x30, #0\n bl serve\n");
#else
#error "no system calls are known for this machine"
#endif
enum { PIDFD_OPEN = 434, CLONE3 = 435, CLOSE_RANGE = 436 }; /* the same on every machine */

#define CALL(...) CALL_WITH_ZEROS(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CALL_WITH_ZEROS(number, a, b, c, d, e, f, ...) \
    invoke(number, (i64)(a), (i64)(b), (i64)(c), (i64)(d), (i64)(e), (i64)(f))

enum { EPERM = 1, EINTR = 4, EIO = 5, EAGAIN = 11 };
enum { WRITE_ONLY = 1, SETMASK = 2, KILL = 9, ALL_SIGNALS_SIZE = 8, NOFILE = 7, SEEK_END = 2, PRIVATE = 2, READ_WRITE = 3 };
enum { SET_PDEATHSIG = 1, SET_DUMPABLE = 4, SET_NAME = 15, DUPFD_CLOEXEC = 1030, CLOEXEC = 02000000 };
enum { SOL_SOCKET = 1, SCM_RIGHTS = 1, NO_SIGNAL = 0x4000, CMSG_CLOEXEC = 0x40000000, CUT = 0x20 | 0x8 };
#define CLONE_PARENT 0x8000ul
#define CLONE_INTO_CGROUP 0x200000000ul
#define CAPABILITY_VERSION 0x20080522u
#define LAST_FD 0xFFFFFFFFu
#define MAGIC 0x0150414C55534E49ul /* "INSULAP" and the version, as a number: both machines are little-endian */

/* What the kernel and the keeper agree on with us */

struct vector { const void *base; u64 length; };
struct message { void *name; u64 name_size; struct vector *vectors; u64 vector_count; void *control; u64 control_size, flags; };
struct clone_arguments {
    u64 flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, pids, pid_count, cgroup;
};

enum { STANDING_MAX = 5, FDS_MAX = 3 + STANDING_MAX };

/* One order; its layout in Python: engine/keeper/spawner.py. Beside it come, in this order: the image, the channel, the
 * control group to be cloned into if there is one, and what to stand in. */
struct order {
    u64 flags;                  /* the namespaces to make: CLONE_NEW… */
    u64 descriptors[2];         /* soft and hard limit of descriptors, as before the keeper raised its own */
    i32 uid, gid;               /* who is to own the user namespace; -1: the keeper's own */
    i32 pids[2];                /* the numbers wanted, the innermost namespace's first */
    u32 pid_count;
    u32 into_group;             /* whether a control group came */
    u32 standing_count;
    u32 standing[STANDING_MAX]; /* for each descriptor of namespaces that came: which of them to stand in */
};
struct order_fds { i32 image, channel, group, standing[STANDING_MAX]; };

/* An image; described in docs/reference/programs.md. */
struct header {
    char magic[8];
    u32 size, record_count, records, relocation_count, relocations;
    i32 at, channel;
    char unused[28];
};
struct record { i32 number; u16 kinds, flags, skip, error; u32 zero; i64 wanted; u64 arguments[6]; i64 result; };
enum { POINTER = 1, RESULT = 2, LOADED = 3 };                        /* kinds */
enum { EXACT = 1, WHATEVER = 2, AGAIN = 4, PARENT_SKIPS = 8 };       /* flags */
enum { COMPARE = -1, STORE = -2, ATTEMPTS = 100, FAILED = 127 };
_Static_assert(sizeof(struct header) == 64 && sizeof(struct record) == 80 && sizeof(struct order) == 72, "layout");

/* The numbers that guests get passed descriptors at, and the standard streams: occupied, so that nothing of ours is
 * ever there. */
enum { NULL_DEVICE = 1, FIRST_PASSED = 3, LAST_PASSED = 66, OURS = LAST_PASSED + 1 };

/* Words on a channel */

/* Returns an errno negated if nobody listens any more: the keeper has given up this order, or is dead. */
static i64 send(i32 channel, const char *text, u64 length, i32 fd)
{
    struct { u64 size; i32 level, type, fd, padding; } control = { 20, SOL_SOCKET, SCM_RIGHTS, fd, 0 };
    struct vector vector = { text, length };
    struct message message = { 0, 0, &vector, 1, &control, fd < 0 ? 0 : sizeof control, 0 };
    return CALL(SENDMSG, channel, &message, NO_SIGNAL);
}

static char *put_text(char *at, const char *text)
{
    while (*text)
        *at++ = *text++;
    return at;
}

static char *put_number(char *at, i64 number)
{
    char digits[24];
    u32 count = 0;
    if (number < 0)
        *at++ = '-', number = -number;
    do
        digits[count++] = '0' + number % 10;
    while (number /= 10);
    while (count)
        *at++ = digits[--count];
    return at;
}

static void say_not_cloned(i32 channel, i64 error)
{
    char text[64], *end = put_number(put_text(text, "{\"not_cloned\":"), error);
    end = put_text(end, "}");
    send(channel, text, end - text, -1);
}

static void say_failed(i32 channel, i64 index, i64 error)
{
    char text[96], *end = put_number(put_text(text, "{\"failed\":"), index);
    end = put_text(put_number(put_text(end, ",\"errno\":"), error), "}");
    send(channel, text, end - text, -1);
}

/* The player: engine/program/player.py is the same in Python, and the same tests hold for both. */

static i64 performed(const struct record *record, const u64 *arguments)
{
    if (record->number == COMPARE)
        return (*(u32 *)arguments[0] & (u32)arguments[1]) == (u32)arguments[2] ? 0 : -EPERM;
    if (record->number == STORE) {
        *(u32 *)arguments[0] = arguments[1];
        return 0;
    }
    for (u32 left = ATTEMPTS;;) {
        i64 result = invoke(record->number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
        if (result == -EINTR)
            continue;
        if (result == -EAGAIN && record->flags & AGAIN && --left)
            continue;
        return result;
    }
}

/* Play all records; return only if one has failed, or the last has executed nothing. */
static void play(struct header *header)
{
    char *base = (char *)header;
    struct record *records = (struct record *)(base + header->records);
    u32 *relocations = (u32 *)(base + header->relocations);
    for (u32 index = 0; index < header->relocation_count; index++)
        *(u64 *)(base + relocations[index]) += (u64)base;
    for (u32 index = 0; index < header->record_count; index++) {
        struct record *record = &records[index];
        u64 arguments[6];
        header->at = index;
        for (u32 position = 0; position < 6; position++) {
            u64 argument = record->arguments[position];
            u32 kind = record->kinds >> 2 * position & 3;
            arguments[position] = kind == POINTER  ? (u64)base + argument
                                  : kind == RESULT ? (u64)records[argument].result
                                  : kind == LOADED ? (u64)(i64)*(i32 *)(base + argument)
                                                   : argument;
        }
        i64 result = record->result = performed(record, arguments);
        if (record->error && result == -(i64)record->error) {
            index += record->skip;
        } else if (!(record->flags & WHATEVER) && (record->flags & EXACT ? result != record->wanted : result < 0)) {
            say_failed(header->channel, index, result < 0 ? -result : 0);
            return;
        } else if (record->flags & PARENT_SKIPS && result) {
            index += record->skip;
        }
    }
    say_failed(header->channel, -1, EIO);
}

/* Be the process that was asked for: say so, keep nothing but the channel, and play. */
static void live(const struct order *order, i32 image, i32 channel)
{
    static const char cloned[] = "{\"cloned\":true,\"fds\":[\"pidfd\"]}";
    u64 none = 0;
    /* A change of ids may have made us dumpable: proc_pid_coredump_filter(5). */
    CALL(PRCTL, SET_DUMPABLE, 0);
    /* The reaper remembers how this one ends, should the keeper die; of the spawner and its helpers it does not. */
    CALL(PRCTL, SET_NAME, "insula-child");
    CALL(SIGPROCMASK, SETMASK, &none, 0, ALL_SIGNALS_SIZE);
    i64 pidfd = CALL(PIDFD_OPEN, CALL(GETPID), 0);
    if (pidfd < 0)
        return; /* the end of the channel says it */
    /* Under the keeper's own limit: what all of root's processes have on its way counts against it (unix(7)). */
    if (send(channel, cloned, sizeof cloned - 1, pidfd) < 0)
        return; /* nothing may go on unheard of */
    CALL(PRLIMIT, 0, NOFILE, order->descriptors, 0);
    i64 size = CALL(LSEEK, image, 0, SEEK_END);
    struct header *header = (struct header *)CALL(MMAP, 0, size, READ_WRITE, PRIVATE, image, 0);
    CALL(CLOSE_RANGE, OURS, channel - 1, 0);
    CALL(CLOSE_RANGE, channel + 1, LAST_FD, 0);
    if ((u64)header > -4096ul || size < (i64)sizeof *header || header->size != size || *(u64 *)header->magic != MAGIC) {
        say_failed(channel, -1, EIO);
        return;
    }
    header->channel = channel;
    play(header);
}

/* Orders */

/* Act as the owner of a user namespace that is about to be made, with all capabilities: to make it with a group and a
 * pid of choice takes them, and a change of the effective uid has dropped them (capabilities(7)). */
static i64 become(i32 uid, i32 gid)
{
    struct { u32 version; i32 pid; } header = { CAPABILITY_VERSION, 0 };
    struct { u32 effective, permitted, inheritable; } data[2];
    i64 error = CALL(SETRESGID, -1, gid, -1);
    if (error || (error = CALL(SETRESUID, -1, uid, -1)) || (error = CALL(CAPGET, &header, data)))
        return error;
    data[0].effective = data[0].permitted;
    data[1].effective = data[1].permitted;
    return CALL(CAPSET, &header, data);
}

/* What a change of ids undoes, so said again after each. */
static void stay_apart(void)
{
    CALL(PRCTL, SET_DUMPABLE, 0);
    CALL(PRCTL, SET_PDEATHSIG, KILL);
}

static i64 clone(u64 flags, const i32 *pids, u32 pid_count, i32 group)
{
    struct clone_arguments arguments = { .flags = flags | CLONE_PARENT };
    arguments.pids = pid_count ? (u64)pids : 0;
    arguments.pid_count = pid_count;
    if (group >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = group;
    }
    return CALL(CLONE3, &arguments, sizeof arguments);
}

/* Clone who is asked for. Returns in the caller only: 0, or an errno negated. */
static i64 spawn(const struct order *order, const struct order_fds *fds, i32 group)
{
    i64 pid = clone(order->flags, order->pids, order->pid_count, group);
    if (pid == 0) {
        live(order, fds->image, fds->channel);
        CALL(EXIT_GROUP, FAILED);
    }
    return pid < 0 ? pid : 0;
}

/* Be as likely to be killed for memory as any: what protects the keeper and us is not for guests. */
static void lose_protection(void)
{
    i64 file = CALL(OPENAT, 0, "/proc/self/oom_score_adj", WRITE_ONLY);
    CALL(WRITE, file, "0", 1);
    CALL(CLOSE, file);
}

/* A process that is to be born in namespaces of others can be seen there from its first moment: so it is cloned by one
 * that has nothing of ours any more. That one is in the group already, as the descriptor of a directory of the host's
 * leads out of any root, and it stands in the namespaces; it ends at once, and the keeper reaps it. */
static i64 spawn_inside(const struct order *order, const struct order_fds *fds, i32 socket)
{
    i64 pid = clone(0, 0, 0, fds->group);
    if (pid)
        return pid < 0 ? pid : 0;
    i64 error = 0;
    lose_protection();
    CALL(CLOSE, socket);
    if (fds->group >= 0)
        CALL(CLOSE, fds->group);
    for (u32 index = 0; index < order->standing_count; index++) {
        if (!error)
            error = CALL(SETNS, fds->standing[index], order->standing[index]);
        CALL(CLOSE, fds->standing[index]);
    }
    if (!error && order->uid >= 0)
        error = become(order->uid, order->gid);
    if (!error)
        error = spawn(order, fds, -1);
    if (error)
        say_not_cloned(fds->channel, -error);
    CALL(CLOSE, fds->channel); /* the keeper takes its end for an exec: not to be held up by all that an exit does */
    CALL(YIELD); /* nor is who was cloned, who waits for this processor */
    CALL(EXIT_GROUP, 0);
    __builtin_unreachable();
}

static void carry_out(const struct order *order, const struct order_fds *fds, i32 socket)
{
    i64 error = 0;
    if (order->standing_count) {
        error = spawn_inside(order, fds, socket);
    } else {
        if (order->uid >= 0)
            error = become(order->uid, order->gid);
        if (!error)
            error = spawn(order, fds, fds->group);
        if (order->uid >= 0) {
            if (CALL(SETRESUID, -1, 0, -1) || CALL(SETRESGID, -1, 0, -1))
                CALL(EXIT_GROUP, 1); /* the keeper starts another */
            stay_apart();
        }
    }
    if (error)
        say_not_cloned(fds->channel, -error);
}

/* Take the next order and carry it out. One that is no order is dropped: its channel ends. */
static void attend(i32 socket)
{
    struct order order;
    struct { u64 size; i32 level, type, fds[FDS_MAX]; } control;
    struct vector vector = { &order, sizeof order };
    struct message message = { 0, 0, &vector, 1, &control, sizeof control, 0 };
    i64 got = CALL(RECVMSG, socket, &message, CMSG_CLOEXEC);
    if (got == -EINTR)
        return;
    if (got <= 0)
        CALL(EXIT_GROUP, got < 0); /* the keeper is gone */
    u32 count = message.control_size ? (control.size - 16) / sizeof(i32) : 0;
    if (got == sizeof order && !(message.flags & CUT) && order.standing_count <= STANDING_MAX && order.pid_count <= 2
        && count == 2 + !!order.into_group + order.standing_count) {
        u32 first = 2;
        struct order_fds fds = { control.fds[0], control.fds[1], -1, { 0 } };
        if (order.into_group)
            fds.group = control.fds[first++];
        for (u32 index = 0; index < order.standing_count; index++)
            fds.standing[index] = control.fds[first + index];
        carry_out(&order, &fds, socket);
    }
    for (u32 index = 0; index < count; index++)
        CALL(CLOSE, control.fds[index]);
}

__attribute__((noreturn, used)) static void serve(void)
{
    u64 all = -1;
    /* Nothing but SIGKILL and SIGSTOP reaches us; children begin with none blocked, and all at their defaults. */
    CALL(SIGPROCMASK, SETMASK, &all, 0, ALL_SIGNALS_SIZE);
    i64 socket = CALL(FCNTL, 0, DUPFD_CLOEXEC, OURS);
    CALL(CLOSE_RANGE, socket + 1, LAST_FD, 0);
    for (i32 number = 0; number <= LAST_PASSED; number++)
        if (number != NULL_DEVICE)
            CALL(DUP3, NULL_DEVICE, number, number < FIRST_PASSED ? 0 : CLOEXEC);
    CALL(PRCTL, SET_NAME, "insula-spawner");
    stay_apart();
    send(socket, "r", 1, -1); /* ready */
    for (;;)
        attend(socket);
}
