/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may
 * not use this file except in compliance with the License. You may obtain
 * a copy of the License at
 *
 *      http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software
 * distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
 * WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
 * License for the specific language governing permissions and limitations
 * under the License.
 */

/*
 * Gives a guest the registers of a baseline. The library is preloaded into
 * QEMU's process and stands in front of ioctl(2). It reads one environment
 * variable:
 *
 *   NOVA_ARM_BASELINE=1;NAME;FLAGS;ID=VALUE,...;MIDR/REVIDR/AIDR,...
 *
 * If the variable is not set, the library does nothing. If the guest cannot
 * get the baseline, an ioctl fails, QEMU stops, and a line on standard error
 * says why. doc/source/contributor/shim.rst has the format and the reasons.
 *
 * Names such as set_id_reg() are functions of Linux 7.2, arch/arm64/kvm.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* What <linux/kvm.h> lacks: of arm64, or newer than the build machine's. */
#ifndef __aarch64__ /* the tests are native */
struct kvm_vcpu_init {
    uint32_t target, features[7];
};
#endif
enum { CAP_ARM_WRITABLE_IMP_ID_REGS = 239 };
enum { ARM_VM_SMCCC_CTRL, ARM_VM_SMCCC_FILTER = 0, FILTER_FWD_TO_USER = 2 };
struct smccc_filter {
    uint32_t base, nr_functions;
    uint8_t action, pad[15];
};
#define SYSREG(op0, op1, crn, crm, op2)                                        \
    (0x6030000000130000 | (op0) << 14 | (op1) << 11 | (crn) << 7 |             \
     (crm) << 3 | (op2))
#define ID_PFR1_EL1 SYSREG(3, 0, 0, 1, 1)
#define ID_AA64PFR0_EL1 SYSREG(3, 0, 0, 4, 0)
#define ID_AA64PFR2_EL1 SYSREG(3, 0, 0, 4, 2)
#define CORE_REG_X(n) (0x6030000000100000 + 2 * (uint64_t)(n))
#define FW_PSCI_VERSION 0x6030000000140000
#define FW_VENDOR_HYP_BMAP_2 0x6030000000160003

/* Calls of a guest: Documentation/virt/kvm/arm/hypercalls.rst */
enum { DISCOVER_BITS = 3, DISCOVER_VERSION = 0x10000 };
static const uint64_t DISCOVER_VER = 0xc6000040, DISCOVER_CPUS = 0xc6000041;

enum { MAX_REGISTERS = 128, MAX_TARGETS = 64, MAX_NAME = 64 };
enum { MAX_DESCRIPTORS = 16384 };

struct reg {
    uint64_t id, value;
};

struct baseline {
    char name[MAX_NAME + 1];
    unsigned n_registers, n_targets;
    struct reg registers[MAX_REGISTERS];
    uint64_t targets[MAX_TARGETS][3]; /* MIDR, REVIDR, AIDR */
    bool has_imp_id;                  /* a register of an implementation */
    bool has_bmap_2;                  /* FW_VENDOR_HYP_BMAP_2 */
};

#define FIELD(lowest_bit) (UINT64_C(15) << (lowest_bit))
#define PSCI_0_2 (1U << 2) /* features of KVM_ARM_VCPU_INIT */
#define PMU_V3 (1U << 3)
#define SVE (1U << 4)
#define PTRAUTH (1U << 5 | 1U << 6) /* KVM wants both or none */
#define GIC (1U << 31)              /* none of KVM's */

/*
 * Fields that are 0 on a vCPU that lacks a feature. A vCPU that has it takes 0
 * only where the field can be lowered. QEMU's own vCPUs, with which it probes
 * the host, have other features than the guest's. MTE is a capability of the
 * VM, so there the field itself tells. From: __kvm_read_sanitised_id_reg(), the
 * functions sanitise_*() and *_visibility(), kvm_arm_set_fw_reg().
 */
static const struct gate {
    uint64_t id, field;
    unsigned feature;
    bool lowerable;
    const char *name;
} gates[] = {
    /* ID_AA64ISAR1_EL1: APA, API, GPA, GPI; ID_AA64ISAR2_EL1: GPA3, APA3 */
    {SYSREG(3, 0, 0, 6, 1), FIELD(4) | FIELD(8) | FIELD(24) | FIELD(28),
     PTRAUTH, false, "pauth"},
    {SYSREG(3, 0, 0, 6, 2), FIELD(8) | FIELD(12), PTRAUTH, false, "pauth"},
    /* ID_AA64PFR0_EL1: SVE; ID_AA64ZFR0_EL1 */
    {ID_AA64PFR0_EL1, FIELD(32), SVE, false, "sve"},
    {SYSREG(3, 0, 0, 4, 4), UINT64_MAX, SVE, true, "sve"},
    /* ID_AA64DFR0_EL1: PMUVer; ID_DFR0_EL1: PerfMon; PMCR_EL0 */
    {SYSREG(3, 0, 0, 5, 0), FIELD(8), PMU_V3, true, "pmu"},
    {SYSREG(3, 0, 0, 1, 2), FIELD(24), PMU_V3, true, "pmu"},
    {SYSREG(3, 3, 9, 12, 0), UINT64_MAX, PMU_V3, true, "pmu"},
    /* ID_AA64PFR1_EL1: MTE, MTE_frac, MTEX */
    {SYSREG(3, 0, 0, 4, 1), FIELD(8) | FIELD(40) | FIELD(52), 0, false, "mte"},
    {FW_PSCI_VERSION, UINT64_MAX, PSCI_0_2, false, "psci"},
    /* GIC, GCIE, GIC: KVM itself sets them, kvm_vgic_finalize_idregs() */
    {ID_AA64PFR0_EL1, FIELD(24), GIC, true, "gic"},
    {ID_AA64PFR2_EL1, FIELD(12), GIC, true, "gic"},
    {ID_PFR1_EL1, FIELD(28), GIC, true, "gic"},
};

/*
 * By the number of a vCPU's descriptor. KVM_CREATE_VCPU starts an entry anew:
 * a number that was closed and is used again brings nothing along.
 */
static struct vcpu {
    _Atomic(const struct kvm_run *) run; /* NULL until the first KVM_RUN */
    _Atomic(const char *) differs;       /* the feature in which it differs */
    atomic_bool ready;                   /* has the registers */
    atomic_bool first;                   /* of its VM, for the log */
} vcpus[MAX_DESCRIPTORS];

static enum { UNSET, MALFORMED, READY } state;
static const char *complaint;
static struct baseline baseline;
static const struct kvm_run no_page; /* where no exit has to be looked at */
static atomic_bool targets_off;      /* the kernel cannot tell the targets */

/*
 * The next ioctl(2), not the system call: what else stands in front of libc's
 * stays in place. For QEMU's seccomp filter both are the same system call.
 */
static int (*next_ioctl)(int, unsigned long, ...);

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
    char line[512] = "nova-arm-baseline: ";
    size_t length = strlen(line);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line + length, sizeof(line) - length - 1, format, arguments);
    va_end(arguments);
    strcat(line, "\n");
    if (write(STDERR_FILENO, line, strlen(line)) < 0)
        return; /* there is no other place to say it */
}

static int fail(int error) {
    errno = error;
    return -1;
}

/* Take 1 to 16 hex digits and the character `end` after them off `text`. */
static bool take_hex(char **text, const char *prefix, char end,
                     uint64_t *value) {
    size_t skipped = strlen(prefix), digits;
    char *start = *text + skipped;

    if (strncmp(*text, prefix, skipped) != 0)
        return false;
    digits = strspn(start, "0123456789abcdef");
    if (digits < 1 || digits > 16 || start[digits] != end)
        return false;
    *value = strtoull(start, NULL, 16);
    *text = start + digits + 1;
    return true;
}

static const char *read_register(char *text, struct baseline *to) {
    struct reg reg;
    unsigned size;

    if (strcspn(text, "=") != 16 || !take_hex(&text, "", '=', &reg.id) ||
        !take_hex(&text, "0x", '\0', &reg.value))
        return "a register is not ID=0xVALUE, in lower-case hex digits";
    size = reg.id >> 52; /* arm64, with 32 or 64 bits; more would overrun */
    if (size != 0x603 && (size != 0x602 || reg.value > UINT32_MAX))
        return "a register is not one of arm64 with 32 or 64 bits";
    if (to->n_registers == MAX_REGISTERS)
        return "there are too many registers";
    for (unsigned i = 0; i < to->n_registers; i++)
        if (to->registers[i].id == reg.id)
            return "a register is listed twice";
    to->registers[to->n_registers++] = reg;
    to->has_imp_id |= reg.id == SYSREG(3, 0, 0, 0, 0) || /* MIDR_EL1 */
                      reg.id == SYSREG(3, 0, 0, 0, 6) || /* REVIDR_EL1 */
                      reg.id == SYSREG(3, 1, 0, 0, 7);   /* AIDR_EL1 */
    to->has_bmap_2 |= reg.id == FW_VENDOR_HYP_BMAP_2;
    return NULL;
}

static const char *read_target(char *text, struct baseline *to) {
    uint64_t *target = to->targets[to->n_targets];

    if (to->n_targets == MAX_TARGETS)
        return "there are too many implementations";
    if (!take_hex(&text, "0x", '/', &target[0]) ||
        !take_hex(&text, "0x", '/', &target[1]) ||
        !take_hex(&text, "0x", '\0', &target[2]))
        return "an implementation is not 0xMIDR/0xREVIDR/0xAIDR";
    to->n_targets++;
    return NULL;
}

/* Return what is wrong with `text`, or NULL. */
static const char *read_baseline(const char *text, struct baseline *to) {
    enum { VERSION, NAME, FLAGS, REGISTERS, TARGETS, N_FIELDS };
    static char copy[16384]; /* used once, before there is a second thread */
    char *fields[N_FIELDS], *rest = copy, *item;
    const char *wrong = NULL;
    size_t length = strlen(text);

    memset(to, 0, sizeof(*to));
    if (length >= sizeof(copy))
        return "it is too long";
    memcpy(copy, text, length + 1);
    for (int i = 0; i < N_FIELDS; i++)
        if (!(fields[i] = strsep(&rest, ";")))
            return "it has less than five fields";
    if (rest)
        return "it has more than five fields";
    if (strcmp(fields[VERSION], "1") != 0)
        return "its version is not 1";
    length = strlen(fields[NAME]);
    if (length < 1 || length > MAX_NAME ||
        strspn(fields[NAME], "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
                             "abcdefghijklmnopqrstuvwxyz") != length)
        return "its name is not 1 to 64 characters of A-Z a-z 0-9 . _ -";
    memcpy(to->name, fields[NAME], length + 1);
    if (*fields[FLAGS] && strcmp(fields[FLAGS], "pauth") != 0)
        return "it has an unknown flag";
    while (!wrong && (item = strsep(&fields[REGISTERS], ",")))
        wrong = read_register(item, to);
    if (*fields[TARGETS]) /* may be empty */
        while (!wrong && (item = strsep(&fields[TARGETS], ",")))
            wrong = read_target(item, to);
    return wrong;
}

__attribute__((constructor)) static void start(void) {
    const char *text = getenv("NOVA_ARM_BASELINE");

    *(void **)&next_ioctl = dlsym(RTLD_NEXT, "ioctl");
    if (!text)
        return;
    complaint = read_baseline(text, &baseline);
    state = complaint ? MALFORMED : READY;
}

static bool is_kvm(int fd) {
    struct stat found;

    return fstat(fd, &found) == 0 && S_ISCHR(found.st_mode) &&
           found.st_rdev == makedev(10, 232);
}

/* Asked of the kernel each time: a descriptor's number can be used again. */
static bool is_vcpu(int fd) {
    static const char wanted[] = "anon_inode:kvm-vcpu:";
    char path[32], target[sizeof(wanted) - 1];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return readlink(path, target, sizeof(target)) == sizeof(target) &&
           memcmp(target, wanted, sizeof(target)) == 0;
}

static int get_reg(int fd, uint64_t id, uint64_t *value) {
    struct kvm_one_reg argument = {id, (uintptr_t)value};

    *value = 0; /* KVM writes only the lower half for a 32-bit register */
    return next_ioctl(fd, KVM_GET_ONE_REG, &argument);
}

static int set_reg(int fd, uint64_t id, uint64_t value) {
    struct kvm_one_reg argument = {id, (uintptr_t)&value};

    return next_ioctl(fd, KVM_SET_ONE_REG, &argument);
}

static int create_vm(int kvm, void *type) {
    struct kvm_enable_cap writable = {.cap = CAP_ARM_WRITABLE_IMP_ID_REGS};
    struct smccc_filter filter = {
        .base = DISCOVER_VER, .nr_functions = 2, .action = FILTER_FWD_TO_USER};
    struct kvm_device_attr attr = {.group = ARM_VM_SMCCC_CTRL,
                                   .attr = ARM_VM_SMCCC_FILTER,
                                   .addr = (uintptr_t)&filter};
    int vm;

    if (!is_kvm(kvm))
        return next_ioctl(kvm, KVM_CREATE_VM, type);
    if (state == MALFORMED) {
        say("NOVA_ARM_BASELINE is malformed: %s", complaint);
        return fail(EINVAL);
    }
    vm = next_ioctl(kvm, KVM_CREATE_VM, type);
    if (vm < 0)
        return vm;
    if (baseline.has_imp_id && next_ioctl(vm, KVM_ENABLE_CAP, &writable) != 0) {
        say("%s: KVM refuses KVM_CAP_ARM_WRITABLE_IMP_ID_REGS (%s): the guest "
            "needs Linux 6.15 or newer",
            baseline.name, strerror(errno));
        close(vm);
        return fail(ENOTSUP);
    }
    if (baseline.n_targets && next_ioctl(vm, KVM_SET_DEVICE_ATTR, &attr) != 0 &&
        !atomic_exchange(&targets_off, true))
        say("%s: KVM has no SMCCC filter (%s): the guest is not told its "
            "implementations",
            baseline.name, strerror(errno));
    return vm;
}

static int create_vcpu(int vm, void *id) {
    int fd = next_ioctl(vm, KVM_CREATE_VCPU, id);

    if (fd >= 0 && fd < MAX_DESCRIPTORS) {
        const struct kvm_run *old = atomic_exchange(&vcpus[fd].run, NULL);

        if (old && old != &no_page)
            munmap((void *)old, sizeof(*old));
        vcpus[fd].ready = false;
        vcpus[fd].first = (uintptr_t)id == 0;
    }
    return fd;
}

/* Return false, after a line in the log, if the vCPU cannot have `reg`. */
static bool give(int fd, uint32_t features, const struct reg *reg) {
    uint64_t wanted = reg->value, now, kvms = 0;
    bool there = get_reg(fd, reg->id, &now) == 0;
    int error = 0;

    for (size_t i = 0; i < sizeof(gates) / sizeof(*gates); i++) {
        uint64_t field = gates[i].field;
        bool has = gates[i].feature ? features & gates[i].feature : now & field;

        if (gates[i].id == reg->id && gates[i].feature == GIC)
            kvms = field;
        else if (gates[i].id == reg->id && has != !!(wanted & field) &&
                 !(has && gates[i].lowerable)) {
            wanted = (wanted & ~field) | (now & field);
            if (wanted != reg->value)
                vcpus[fd].differs = gates[i].name;
            if (!there)
                return true; /* hidden from a vCPU without the feature */
        }
    }
    if (there && now == wanted)
        return true; /* after the VM's first KVM_RUN, others are EBUSY */
    if (set_reg(fd, reg->id, wanted) != 0)
        error = errno;
    there = get_reg(fd, reg->id, &now) == 0;
    if (there && ((now ^ wanted) & ~(error == EBUSY ? kvms : 0)) == 0)
        return true;
    say("%s: register %016llx cannot be set: wanted 0x%llx, there is 0x%llx "
        "(%s)",
        baseline.name, (unsigned long long)reg->id, (unsigned long long)wanted,
        (unsigned long long)now, error ? strerror(error) : "KVM keeps it");
    return false;
}

/* Let KVM say that the guest can ask for its implementations. */
static bool advertise_targets(int fd) {
    struct reg bmap_2 = {FW_VENDOR_HYP_BMAP_2, 0};

    if (get_reg(fd, bmap_2.id, &bmap_2.value) == 0) {
        bmap_2.value |= DISCOVER_BITS;
        return give(fd, 0, &bmap_2);
    }
    if (!atomic_exchange(&targets_off, true))
        say("%s: KVM has no VENDOR_HYP_BMAP_2 (%s): the guest is not told its "
            "implementations",
            baseline.name, strerror(errno));
    return true;
}

static int init_vcpu(int fd, const struct kvm_vcpu_init *init) {
    int result = next_ioctl(fd, KVM_ARM_VCPU_INIT, init);

    if (result != 0 || !is_vcpu(fd))
        return result;
    if (state != READY || fd >= MAX_DESCRIPTORS) {
        say("the vCPU of descriptor %d cannot have a baseline", fd);
        return fail(EINVAL);
    }
    vcpus[fd].differs = NULL;
    for (unsigned i = 0; i < baseline.n_registers; i++)
        if (!give(fd, init->features[0], &baseline.registers[i]))
            return fail(EINVAL);
    if (baseline.n_targets && !baseline.has_bmap_2 && !targets_off &&
        !advertise_targets(fd))
        return fail(EINVAL);
    if (!atomic_exchange(&vcpus[fd].ready, true) && vcpus[fd].first)
        say("%s: registers set: %u%s%s", baseline.name, baseline.n_registers,
            vcpus[fd].differs ? ", on a vCPU that differs in " : "",
            vcpus[fd].differs ? vcpus[fd].differs : "");
    return result;
}

/* What a vCPU needs before its first KVM_RUN. */
static const struct kvm_run *first_run(int fd) {
    const struct kvm_run *page = &no_page;

    if (!vcpus[fd].ready || vcpus[fd].differs) {
        say("%s: a vCPU without the baseline%s%s does not run", baseline.name,
            vcpus[fd].differs ? "'s " : "",
            vcpus[fd].differs ? vcpus[fd].differs : "");
        return NULL;
    }
    if (baseline.n_targets && !targets_off)
        page = mmap(NULL, sizeof(*page), PROT_READ, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        say("%s: a vCPU cannot be mapped: %s", baseline.name, strerror(errno));
        return NULL;
    }
    vcpus[fd].run = page;
    return page;
}

/* Return false if the vCPU does not take the answer. */
static bool answer(int fd, uint64_t function) {
    uint64_t x[4] = {0 /* SUCCESS */, DISCOVER_VERSION, baseline.n_targets, 0};
    uint64_t index;

    if (function == DISCOVER_CPUS) {
        if (get_reg(fd, CORE_REG_X(1), &index) != 0)
            return false;
        memset(x, 0, sizeof(x));
        if (index < baseline.n_targets)
            memcpy(&x[1], baseline.targets[index], sizeof(*baseline.targets));
        else
            x[0] = -3; /* INVALID_PARAMETER */
    }
    for (int i = 0; i < 4; i++)
        if (set_reg(fd, CORE_REG_X(i), x[i]) != 0)
            return false;
    return true;
}

/*
 * No allocation, no lock, and no system call of its own but for the guest's
 * two calls. A signal or immediate_exit ends the next KVM_RUN with EINTR, when
 * the guest has its answer.
 */
static int run_vcpu(int fd, void *argument) {
    const struct kvm_run *run;
    int result;

    if (fd < 0 || fd >= MAX_DESCRIPTORS)
        return fail(EINVAL);
    run = atomic_load_explicit(&vcpus[fd].run, memory_order_relaxed);
    if (!run && !(run = first_run(fd)))
        return fail(EINVAL);
    while ((result = next_ioctl(fd, KVM_RUN, argument)) == 0 &&
           run->exit_reason == KVM_EXIT_HYPERCALL &&
           (run->hypercall.nr == DISCOVER_VER ||
            run->hypercall.nr == DISCOVER_CPUS))
        if (!answer(fd, run->hypercall.nr)) {
            say("%s: the guest's call cannot be answered: %s", baseline.name,
                strerror(errno));
            return fail(EINVAL);
        }
    return result;
}

/* The one function that stands in front of libc's. */
__attribute__((visibility("default"))) int ioctl(int fd, unsigned long request,
                                                 ...) {
    va_list arguments;
    void *argument;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    if (state != UNSET)
        switch (request) {
        case KVM_RUN:
            return run_vcpu(fd, argument);
        case KVM_CREATE_VM:
            return create_vm(fd, argument);
        case KVM_CREATE_VCPU:
            return create_vcpu(fd, argument);
        case KVM_ARM_VCPU_INIT:
            return init_vcpu(fd, argument);
        }
    return next_ioctl(fd, request, argument);
}
