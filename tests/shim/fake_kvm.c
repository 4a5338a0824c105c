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
 * A KVM of arm64 in this process. It follows arch/arm64/kvm of Linux 7.2 by
 * itself and shares no code with the shim: registers with their masks of
 * writable fields, features of KVM_ARM_VCPU_INIT, EBUSY after the first run,
 * the SMCCC filter. Its descriptors are memfds, known by their inode, so a
 * number that is closed and used again is another object, as in the kernel;
 * a vCPU's memfd is its struct kvm_run.
 */

#define _GNU_SOURCE
#include "fake_kvm.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define NIBBLE(bit) (UINT64_C(15) << (bit))
#define ALL UINT64_MAX

enum { N_OBJECTS = 64, N_CALLS = 128 };
enum scope { ID, IMP, PER_VCPU };

/* A host like a Neoverse-V1. `lower`: fields that user space may lower. */
static const struct host_register {
    uint64_t id, value, lower;
    enum scope scope;
} host_registers[] = {
    {R_MIDR, 0x411fd401, 0xffffffff, IMP},
    {R_REVIDR, 0x1, ALL, IMP},
    {R_AIDR, 0x0, ALL, IMP},
    {R_DFR0_32, 0x06010099, ALL, ID},
    {R_PFR0, 0x1100000121111112,
     ~(NIBBLE(44) | NIBBLE(40) | NIBBLE(32) | NIBBLE(20) | NIBBLE(16)), ID},
    {R_PFR1, 0x0000000000000221, NIBBLE(4) | NIBBLE(0), ID},
    {R_ZFR0, 0x0000110100110021, ALL, ID},
    {R_DFR0, 0x000000f210305609, ~(NIBBLE(12) | NIBBLE(28)), ID},
    {R_ISAR0, 0x0221100110212120, ALL, ID},
    {R_ISAR1, 0x0011111111211112,
     ~(NIBBLE(4) | NIBBLE(8) | NIBBLE(24) | NIBBLE(28)), ID},
    {R_ISAR2, 0x0000000000000010, ~(NIBBLE(8) | NIBBLE(12)), ID},
    {R_CTR, 0x9444c004, NIBBLE(28) | NIBBLE(16), ID},
    {R_CLIDR, 0xc3000123, ALL, PER_VCPU},
};
enum { N_REGISTERS = sizeof(host_registers) / sizeof(*host_registers) };

struct vm {
    bool writable, has_run, has_ids, configured, filter;
    unsigned created;
    uint32_t features;
    uint64_t ids[N_REGISTERS], bmap_2, psci, pmu_counters;
    unsigned gic;
};

struct object {
    enum { FREE, SYSTEM, VM, VCPU } kind;
    ino_t inode;
    struct object *of; /* a vCPU's VM */
    struct vm vm;
    unsigned id;
    bool initialised, waiting;
    uint64_t x[31], clidr, pmcr;
    struct kvm_run *run;
    const struct fake_guest *steps;
    unsigned n_calls;
    uint64_t calls[N_CALLS][4];
};

struct fake_host fake_host = {
    .writable_imp_ids = true, .smccc_filter = true, .vendor_hyp_bmap_2 = true};
static struct object objects[N_OBJECTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    unsigned long request;
    unsigned n;
} counts[64];
static unsigned n_all;
uint64_t fake_sets[256];
unsigned fake_n_sets;

static struct object *find(int fd) {
    struct stat found;

    if (syscall(SYS_fstat, fd, &found) == 0)
        for (int i = 0; i < N_OBJECTS; i++)
            if (objects[i].kind && objects[i].inode == found.st_ino)
                return &objects[i];
    return NULL;
}

static int make(int kind, struct object **made) {
    int fd = memfd_create("fake", MFD_CLOEXEC);
    struct stat found;

    if (fd < 0 || ftruncate(fd, 4096) != 0 ||
        syscall(SYS_fstat, fd, &found) != 0)
        abort();
    for (int i = 0; i < N_OBJECTS; i++)
        if (!objects[i].kind) {
            *made = &objects[i];
            (*made)->kind = kind;
            (*made)->inode = found.st_ino;
            return fd;
        }
    abort();
}

int fake_open_kvm(void) {
    struct object *made;

    return make(SYSTEM, &made);
}

void fake_run(int vcpu, const struct fake_guest *steps) {
    find(vcpu)->steps = steps;
}

const uint64_t *fake_answer(int vcpu, unsigned call) {
    struct object *object = find(vcpu);

    return call < object->n_calls ? object->calls[call] : NULL;
}

unsigned fake_count(unsigned long request) {
    for (unsigned i = 0; i < sizeof(counts) / sizeof(*counts); i++)
        if (counts[i].request == request)
            return counts[i].n;
    return 0;
}

unsigned fake_count_all(void) { return n_all; }

static bool has(const struct vm *vm, unsigned feature) {
    return vm->features >> feature & 1;
}

/* What this VM's vCPUs may have at most. */
static uint64_t limit(const struct vm *vm, int i) {
    uint64_t value = host_registers[i].value;
    bool pauth = has(vm, 5) && has(vm, 6);

    switch (host_registers[i].id) {
    case R_ISAR1:
        if (!pauth || fake_host.qarma3)
            value &= ~(NIBBLE(4) | NIBBLE(8) | NIBBLE(24) | NIBBLE(28));
        break;
    case R_ISAR2:
        if (pauth && fake_host.qarma3)
            value |= 0x5100;
        break;
    case R_PFR0:
        if (!has(vm, 4))
            value &= ~NIBBLE(32);
        break;
    case R_PFR1:
        if (!fake_host.mte)
            value &= ~NIBBLE(8);
        break;
    case R_ZFR0:
        if (!has(vm, 4))
            value = 0;
        break;
    case R_DFR0:
        if (!has(vm, 3))
            value &= ~NIBBLE(8);
        break;
    case R_DFR0_32:
        if (!has(vm, 3))
            value &= ~NIBBLE(24);
        break;
    }
    return value;
}

static int set_id(struct object *vcpu, int i, uint64_t value) {
    const struct host_register *reg = &host_registers[i];
    struct vm *vm = &vcpu->of->vm;
    uint64_t most = limit(vm, i);

    if (vm->has_run)
        return value == vm->ids[i] ? 0 : EBUSY;
    if (reg->id == R_DFR0_32 && (value & 15) < 6)
        return EINVAL;
    for (int bit = 0; bit < 64; bit += 4) {
        uint64_t wanted = value & NIBBLE(bit), top = most & NIBBLE(bit);

        if (reg->lower & NIBBLE(bit) ? wanted > top : wanted != top)
            return EINVAL;
    }
    vm->ids[i] = value;
    return 0;
}

static int set_imp(struct object *vcpu, int i, uint64_t value) {
    struct vm *vm = &vcpu->of->vm;

    if (vm->ids[i] == value)
        return 0;
    if (!vm->writable)
        return EINVAL;
    if (vm->has_run)
        return EBUSY;
    if (value & ~host_registers[i].lower)
        return EINVAL;
    vm->ids[i] = value;
    return 0;
}

/* KVM_GET_ONE_REG, KVM_SET_ONE_REG; return an errno. */
static int one_reg(struct object *vcpu, bool set, struct kvm_one_reg *arg) {
    size_t size = (size_t)1 << (arg->id >> 52 & 15);
    struct vm *vm = &vcpu->of->vm;
    uint64_t value = 0, index = arg->id - 0x6030000000100000;

    if (!vcpu->initialised)
        return ENOEXEC;
    if (set)
        memcpy(&value, (void *)(uintptr_t)arg->addr, size);
    if (set && fake_n_sets < 256)
        fake_sets[fake_n_sets++] = arg->id;
    if (arg->id == R_CCSIDR) {
        if (set)
            return value == 0x700fe01a ? 0 : EINVAL;
        value = 0x700fe01a;
    } else if (index <= 60 && index % 2 == 0) {
        if (set && index / 2 < fake_host.refuse_core)
            return EINVAL;
        if (set)
            vcpu->x[index / 2] = value;
        value = vcpu->x[index / 2];
    } else if (arg->id == R_PSCI) {
        if (set && (has(vm, 2) ? value < 2 || value > 0x10003 : value != 1))
            return EINVAL;
        if (set)
            vm->psci = value;
        value = vm->psci;
    } else if (arg->id == R_WORKAROUND_1) {
        if (set)
            return value <= 1 ? 0 : EINVAL; /* and nothing changes */
        value = 1;
    } else if (arg->id == R_BMAP_2) {
        if (!fake_host.vendor_hyp_bmap_2)
            return ENOENT;
        if (set && value > 3)
            return EINVAL;
        if (set && vm->has_run && value != vm->bmap_2)
            return EBUSY;
        if (set)
            vm->bmap_2 = value;
        value = vm->bmap_2;
    } else if (arg->id == R_PMCR) {
        if (!has(vm, 3))
            return ENOENT;
        if (set && !vm->has_run && (value >> 11 & 31) <= 6)
            vm->pmu_counters = value >> 11 & 31;
        if (set)
            vcpu->pmcr = value & 0xff;
        value = vcpu->pmcr | vm->pmu_counters << 11;
    } else {
        int i = 0, error = 0;

        while (i < N_REGISTERS && host_registers[i].id != arg->id)
            i++;
        if (i == N_REGISTERS)
            return ENOENT;
        if (host_registers[i].scope == PER_VCPU) {
            if (set)
                vcpu->clidr = value;
            value = vcpu->clidr;
        } else if (set) {
            error = host_registers[i].scope == IMP ? set_imp(vcpu, i, value)
                                                   : set_id(vcpu, i, value);
        } else {
            value = vm->ids[i];
        }
        if (error)
            return error;
    }
    if (!set)
        memcpy((void *)(uintptr_t)arg->addr, &value, size);
    return 0;
}

static int vcpu_init(struct object *vcpu, struct fake_vcpu_init *init) {
    struct vm *vm = &vcpu->of->vm;
    uint32_t features = init->features[0] & ~1U; /* not POWER_OFF */

    if (features & ~0x7fU)
        return ENOENT;
    if (fake_host.no_pauth && features & 0x60)
        return EINVAL;
    if (vm->configured && features != vm->features)
        return EINVAL;
    vm->features = features;
    vm->configured = true;
    if (!vm->has_ids) {
        for (int i = 0; i < N_REGISTERS; i++)
            vm->ids[i] = limit(vm, i);
        vm->psci = has(vm, 2) ? 0x10003 : 1;
        vm->pmu_counters = 6;
        vm->has_ids = true;
    }
    vcpu->clidr = 0xc3000123;
    vcpu->pmcr = 0;
    memset(vcpu->x, 0, sizeof(vcpu->x));
    vcpu->initialised = true;
    return 0;
}

static void set_gic(struct vm *vm) {
    for (int i = 0; i < N_REGISTERS; i++)
        if (host_registers[i].id == R_PFR0) {
            vm->ids[i] &= ~NIBBLE(24);
            if (vm->gic == 3)
                vm->ids[i] |= UINT64_C(1) << 24;
        }
}

void fake_create_gic(int fd, unsigned version) {
    struct vm *vm = &find(fd)->vm;

    vm->gic = version;
    set_gic(vm);
}

static void finish_call(struct object *vcpu) {
    if (vcpu->n_calls < N_CALLS)
        memcpy(vcpu->calls[vcpu->n_calls++], vcpu->x, sizeof(*vcpu->calls));
    vcpu->waiting = false;
}

static int run(struct object *vcpu) {
    struct vm *vm = &vcpu->of->vm;

    if (!vcpu->initialised)
        return ENOEXEC;
    if (vcpu->run->immediate_exit)
        return EINTR; /* the last exit_reason stays */
    if (!vm->has_run && vm->gic)
        set_gic(vm);
    vm->has_run = true;
    vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
    for (;;) {
        const struct fake_guest *step = vcpu->steps;

        if (vcpu->waiting)
            finish_call(vcpu);
        if (!step || step->step == STEP_END) {
            vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
            return 0;
        }
        vcpu->steps++;
        if (step->step == STEP_SIGNAL) {
            vcpu->run->exit_reason = KVM_EXIT_INTR;
            return EINTR;
        }
        if (step->step == STEP_MMIO) {
            vcpu->run->exit_reason = KVM_EXIT_MMIO;
            return 0;
        }
        vcpu->x[0] = step->x0;
        vcpu->x[1] = step->x1;
        vcpu->x[2] = vcpu->x[3] = 0x5a5a;
        vcpu->waiting = true;
        vcpu->run->immediate_exit = step->kick;
        if (step->x0 == 0xc6000055 ||
            (vm->filter &&
             (step->x0 == 0xc6000040 || step->x0 == 0xc6000041))) {
            vcpu->run->exit_reason = KVM_EXIT_HYPERCALL;
            memset(&vcpu->run->hypercall, 0, sizeof(vcpu->run->hypercall));
            vcpu->run->hypercall.nr = step->x0;
            return 0;
        }
        vcpu->x[0] = ALL; /* NOT_SUPPORTED */
        vcpu->x[1] = vcpu->x[2] = vcpu->x[3] = 0;
    }
}

static int set_filter(struct vm *vm, const struct kvm_device_attr *attr) {
    struct {
        uint32_t base, nr_functions;
        uint8_t action, pad[15];
    } filter;
    static const uint8_t zeros[15];

    if (!fake_host.smccc_filter || attr->group != 0 || attr->attr != 0)
        return ENXIO;
    memcpy(&filter, (void *)(uintptr_t)attr->addr, sizeof(filter));
    if (memcmp(filter.pad, zeros, sizeof(zeros)) != 0 ||
        filter.base != 0xc6000040 || filter.nr_functions != 2 ||
        filter.action != 2)
        return EINVAL;
    if (vm->has_run)
        return EBUSY;
    if (vm->filter)
        return EEXIST;
    vm->filter = true;
    return 0;
}

static int enable_cap(struct vm *vm, const struct kvm_enable_cap *cap) {
    if (cap->cap != 239 || cap->flags || !fake_host.writable_imp_ids ||
        vm->created)
        return EINVAL;
    vm->writable = true;
    return 0;
}

static int dispatch(struct object *object, unsigned long request, void *arg) {
    struct object *made;
    int fd;

    if (object->kind == SYSTEM && request == KVM_CREATE_VM) {
        fd = make(VM, &made);
        memset(&made->vm, 0, sizeof(made->vm));
        return fd;
    }
    if (object->kind == VM && request == KVM_CREATE_VCPU) {
        fd = make(VCPU, &made);
        made->of = object;
        made->id = (unsigned)(uintptr_t)arg;
        made->run = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        object->vm.created++;
        return fd;
    }
    if (object->kind == VM && request == KVM_ENABLE_CAP)
        return -enable_cap(&object->vm, arg);
    if (object->kind == VM && request == KVM_SET_DEVICE_ATTR)
        return -set_filter(&object->vm, arg);
    if (object->kind == VCPU && request == KVM_ARM_VCPU_INIT_NUMBER)
        return -vcpu_init(object, arg);
    if (object->kind == VCPU && request == KVM_GET_ONE_REG)
        return -one_reg(object, false, arg);
    if (object->kind == VCPU && request == KVM_SET_ONE_REG)
        return -one_reg(object, true, arg);
    if (object->kind == VCPU && request == KVM_RUN)
        return -run(object);
    return -ENOTTY;
}

int ioctl(int fd, unsigned long request, ...) {
    struct object *object;
    va_list arguments;
    int result;
    void *arg;

    va_start(arguments, request);
    arg = va_arg(arguments, void *);
    va_end(arguments);
    pthread_mutex_lock(&lock);
    object = find(fd);
    n_all++;
    for (unsigned i = 0; i < sizeof(counts) / sizeof(*counts); i++)
        if (counts[i].request == request || !counts[i].request) {
            counts[i].request = request;
            counts[i].n++;
            break;
        }
    result = object ? dispatch(object, request, arg)
                    : (int)syscall(SYS_ioctl, fd, request, arg);
    pthread_mutex_unlock(&lock);
    if (object && result < 0) {
        errno = -result;
        return -1;
    }
    return result;
}

int fstat(int fd, struct stat *found) {
    struct object *object = find(fd);
    int result = (int)syscall(SYS_fstat, fd, found);

    if (object && object->kind == SYSTEM) {
        found->st_mode = S_IFCHR | 0660;
        found->st_rdev = makedev(10, 232);
    }
    return result;
}

ssize_t readlink(const char *path, char *target, size_t size) {
    static const char folder[] = "/proc/self/fd/";
    struct object *object = NULL;
    char name[64];

    if (strncmp(path, folder, strlen(folder)) == 0)
        object = find(atoi(path + strlen(folder)));
    if (!object || object->kind < VM)
        return syscall(SYS_readlinkat, -100 /* AT_FDCWD */, path, target, size);
    if (object->kind == VM)
        strcpy(name, "anon_inode:kvm-vm");
    else
        snprintf(name, sizeof(name), "anon_inode:kvm-vcpu:%u", object->id);
    if (size > strlen(name))
        size = strlen(name);
    memcpy(target, name, size);
    return (ssize_t)size;
}
