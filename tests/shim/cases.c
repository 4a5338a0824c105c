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
 * What the shim does, seen from a program in QEMU's place: each case is a
 * process of its own, with its NOVA_ARM_BASELINE, over the fake KVM. It is run
 * in two forms: linked with the shim, sanitizers on, and with the shim
 * preloaded as in production. `--list` prints the names.
 */

#define _GNU_SOURCE
#include "fake_kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define PSCI (1U << 2)
#define PMU (1U << 3)
#define SVE (1U << 4)
#define PAUTH (3U << 5)
#define GUEST (PSCI | PMU | SVE)  /* the guest's vCPUs in most cases */
#define PROBE (PMU | SVE | PAUTH) /* QEMU's vCPU that probes the host */

static const char *log_path;

static void stop(int line, const char *what) {
    char text[4096];
    FILE *log = fopen(log_path, "r");
    size_t length = log ? fread(text, 1, sizeof(text), log) : 0;

    printf("line %d: not so: %s (errno %d)\nlog:\n%.*s\n", line, what, errno,
           (int)length, text);
    fflush(stdout);
    _exit(1);
}

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition))                                                      \
            stop(__LINE__, #condition);                                        \
    } while (0)
#define CHECK_FAILS(call, error)                                               \
    do {                                                                       \
        errno = 0;                                                             \
        CHECK((call) == -1);                                                   \
        CHECK(errno == (error));                                               \
    } while (0)

/* How many lines of the log have `text`. */
static unsigned said(const char *text) {
    FILE *log = fopen(log_path, "r");
    char line[1024];
    unsigned n = 0;

    CHECK(log);
    while (fgets(line, sizeof(line), log)) {
        CHECK(strncmp(line, "nova-arm-baseline: ", 19) == 0);
        n += strstr(line, text) != NULL;
    }
    fclose(log);
    return n;
}

static int create_vm(void) {
    int kvm = fake_open_kvm(), vm = ioctl(kvm, KVM_CREATE_VM, 0);

    close(kvm);
    CHECK(vm >= 0);
    return vm;
}

static int create_vcpu(int vm, unsigned long id) {
    int vcpu = ioctl(vm, KVM_CREATE_VCPU, id);

    CHECK(vcpu >= 0);
    return vcpu;
}

static int init(int vcpu, uint32_t features) {
    struct fake_vcpu_init argument = {.target = 5, .features = {features}};

    return ioctl(vcpu, KVM_ARM_VCPU_INIT_NUMBER, &argument);
}

/* A VM's first vCPU, initialised. */
static int vcpu_with(uint32_t features) {
    int vcpu = create_vcpu(create_vm(), 0);

    CHECK(init(vcpu, features) == 0);
    return vcpu;
}

static uint64_t get(int vcpu, uint64_t id) {
    uint64_t value = 0;
    struct kvm_one_reg argument = {id, (uintptr_t)&value};

    CHECK(ioctl(vcpu, KVM_GET_ONE_REG, &argument) == 0);
    return value;
}

static void set(int vcpu, uint64_t id, uint64_t value) {
    struct kvm_one_reg argument = {id, (uintptr_t)&value};

    CHECK(ioctl(vcpu, KVM_SET_ONE_REG, &argument) == 0);
}

static int run(int vcpu) { return ioctl(vcpu, KVM_RUN, 0); }

static struct kvm_run *page_of(int vcpu) {
    struct kvm_run *page =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

    CHECK(page != MAP_FAILED);
    return page;
}

static void check_answer(int vcpu, unsigned call, uint64_t x0, uint64_t x1,
                         uint64_t x2, uint64_t x3) {
    const uint64_t *x = fake_answer(vcpu, call);

    CHECK(x);
    CHECK(x[0] == x0 && x[1] == x1 && x[2] == x2 && x[3] == x3);
}

/* Baselines. 603000000013.... as in Linux: c000 MIDR_EL1, c020 PFR0, ... */
#define MIDR "603000000013c000=0x410fd490"
#define ISAR0 "603000000013c030=0x0221000110212120"
/* ISAR1 without pauth, DPB 1 in place of 2; or with the host's pauth */
#define ISAR1 "603000000013c031=0x0011111100211001"
#define ISAR1_PAUTH "603000000013c031=0x0011111111211111"
#define ISAR2_QARMA3 "603000000013c032=0x5110"
#define CLIDR "603000000013c801=0xc3000023"
#define SVE_NONE "603000000013c020=0x1100000021111112,603000000013c024=0x0"
#define PMU_5                                                                  \
    "603000000013c028=0xf210305509,603000000013c00a=0x5010099,"                \
    "603000000013dce0=0x2000"
#define ONE "1;pool-1;;" ISAR0 ";"
#define TARGETS "0x411fd401/0x1/0x0,0x410fd490/0x17/0xffffffffffffffff"

static void unset(void) {
    int vcpu = vcpu_with(PROBE);

    CHECK(get(vcpu, R_ISAR0) == 0x0221100110212120);
    CHECK(run(vcpu) == 0);
    /* Create the VM and the vCPU, initialise, read, run: nothing more. */
    CHECK(fake_count_all() == 5);
    CHECK(said("") == 0);
}

static void sets_registers(void) {
    int vcpu = vcpu_with(GUEST);

    CHECK(get(vcpu, R_MIDR) == 0x410fd490);
    CHECK(get(vcpu, R_ISAR0) == 0x0221000110212120);
    CHECK(get(vcpu, R_ISAR1) == 0x0011111100211001);
    CHECK(get(vcpu, R_CLIDR) == 0xc3000023);
    CHECK(get(vcpu, R_DFR0) == 0xf210305609); /* not of the baseline */
    CHECK(run(vcpu) == 0);
}

static void order(void) {
    vcpu_with(GUEST);
    CHECK(fake_n_sets == 3);
    CHECK(fake_sets[0] == R_ISAR1);
    CHECK(fake_sets[1] == R_MIDR);
    CHECK(fake_sets[2] == R_ISAR0);
}

static void equal_not_set(void) {
    vcpu_with(GUEST);
    CHECK(fake_n_sets == 0);
    CHECK(said("pool-1: registers set: 1") == 1);
}

static void second_vcpu(void) {
    int vm = create_vm(), first = create_vcpu(vm, 0);
    int second = create_vcpu(vm, 1);

    CHECK(init(first, GUEST) == 0 && init(second, GUEST) == 0);
    CHECK(get(second, R_ISAR0) == 0x0221000110212120);
    CHECK(get(second, R_CLIDR) == 0xc3000023);
    CHECK(run(second) == 0 && run(first) == 0);
    CHECK(said("pool-1: registers set: 2") == 1);
    CHECK(said("") == 1);
    vcpu_with(GUEST);
    CHECK(said("pool-1: registers set: 2") == 2);
}

static void no_capability_needed(void) {
    fake_host.writable_imp_ids = false;
    CHECK(get(vcpu_with(GUEST), R_ISAR0) == 0x0221000110212120);
    CHECK(fake_count(KVM_ENABLE_CAP) == 0);
}

static void capability_refused(void) {
    int kvm = fake_open_kvm(), next = dup(kvm);

    close(next);
    fake_host.writable_imp_ids = false;
    CHECK_FAILS(ioctl(kvm, KVM_CREATE_VM, 0), ENOTSUP);
    CHECK(said("pool-1: KVM refuses KVM_CAP_ARM_WRITABLE_IMP_ID_REGS") == 1);
    /* The VM's descriptor is closed. */
    CHECK_FAILS(fcntl(next, F_GETFD), EBADF);
}

static void refused(void) {
    int vcpu = create_vcpu(create_vm(), 0);

    CHECK_FAILS(init(vcpu, GUEST), EINVAL);
    CHECK(said("pool-1: register 603000000013c030 cannot be set: wanted "
               "0xf221100110212120, there is 0x221100110212120 (Invalid "
               "argument)") == 1);
    CHECK(said("registers set") == 0);
    CHECK_FAILS(run(vcpu), EINVAL); /* had QEMU not stopped */
    CHECK(fake_count(KVM_RUN) == 0);
}

static void no_such_register(void) {
    CHECK_FAILS(init(create_vcpu(create_vm(), 0), GUEST), EINVAL);
    CHECK(said("603000000013c03f cannot be set") == 1);
}

static void copdbg_below_armv8(void) {
    CHECK_FAILS(init(create_vcpu(create_vm(), 0), GUEST), EINVAL);
    CHECK(said("603000000013c00a cannot be set: wanted 0x0") == 1);
}

static void kept_by_kvm(void) {
    CHECK_FAILS(init(create_vcpu(create_vm(), 0), GUEST), EINVAL);
    CHECK(said("6030000000140001 cannot be set: wanted 0x0, there is 0x1 (KVM "
               "keeps it)") == 1);
}

static void narrow_register(void) { CHECK(run(vcpu_with(GUEST)) == 0); }

static void narrow_register_differs(void) {
    CHECK_FAILS(init(create_vcpu(create_vm(), 0), GUEST), EINVAL);
    CHECK(said("6020000000110000 cannot be set") == 1);
}

static void init_refused_by_kvm(void) {
    CHECK_FAILS(init(create_vcpu(create_vm(), 0), 1U << 20), ENOENT);
    CHECK(fake_n_sets == 0);
    CHECK(said("") == 0);
}

static void probe_has_pauth(void) {
    int vcpu = vcpu_with(GUEST | PAUTH);

    /* APA 1, API 2, GPA 1, GPI 1 stay the host's; DPB is the baseline's. */
    CHECK(get(vcpu, R_ISAR1) == 0x0011111111211111);
    CHECK(said("registers set: 1, on a vCPU that differs in pauth") == 1);
    CHECK_FAILS(run(vcpu), EINVAL);
    CHECK(said("pool-1: a vCPU without the baseline's pauth does not run") ==
          1);
    CHECK(fake_count(KVM_RUN) == 0);
}

static void guest_has_pauth(void) {
    int vcpu = vcpu_with(GUEST | PAUTH);

    CHECK(get(vcpu, R_ISAR1) == 0x0011111111211111);
    CHECK(run(vcpu) == 0);
}

static void guest_lacks_pauth(void) {
    int vcpu = vcpu_with(GUEST);

    CHECK(get(vcpu, R_ISAR1) == 0x0011111100211001);
    CHECK_FAILS(run(vcpu), EINVAL);
    CHECK(said("without the baseline's pauth") == 1);
}

static void pauth_qarma3(void) {
    int vcpu;

    fake_host.qarma3 = true;
    vcpu = vcpu_with(GUEST | PAUTH);
    CHECK(get(vcpu, R_ISAR1) == 0x0011111100211001);
    CHECK(get(vcpu, R_ISAR2) == 0x5110);
    CHECK(run(vcpu) == 0);
}

static void pauth_of_another_kind(void) {
    fake_host.qarma3 = true;
    CHECK_FAILS(init(create_vcpu(create_vm(), 0), GUEST | PAUTH), EINVAL);
    CHECK(said("603000000013c031 cannot be set") == 1);
}

static void probe_has_sve(void) {
    int vcpu = vcpu_with(GUEST);

    CHECK(get(vcpu, R_PFR0) == 0x1100000121111112);
    CHECK(get(vcpu, R_ZFR0) == 0);
    CHECK_FAILS(run(vcpu), EINVAL);
    CHECK(said("without the baseline's sve") == 1);
}

static void guest_lacks_sve(void) {
    int vcpu = vcpu_with(PSCI | PMU);

    CHECK(get(vcpu, R_PFR0) == 0x1100000021111112);
    CHECK(get(vcpu, R_ZFR0) == 0);
    CHECK_FAILS(run(vcpu), EINVAL);
}

static void no_sve(void) { CHECK(run(vcpu_with(PSCI | PMU)) == 0); }

static void pmu(void) {
    int vcpu = vcpu_with(GUEST);

    CHECK(get(vcpu, R_DFR0) == 0xf210305509);
    CHECK(get(vcpu, R_DFR0_32) == 0x5010099);
    CHECK(get(vcpu, R_PMCR) == 0x2000);
    CHECK(run(vcpu) == 0);
}

static void guest_lacks_pmu(void) {
    int vcpu = vcpu_with(PSCI | SVE);

    CHECK(get(vcpu, R_DFR0) == 0xf210305009);
    CHECK(get(vcpu, R_DFR0_32) == 0x10099);
    CHECK_FAILS(run(vcpu), EINVAL);
    CHECK(said("without the baseline's pmu") == 1);
}

/* PMUVer can be lowered to 0 on a vCPU with a PMU: nothing has to be kept. */
static void pmu_lowered(void) {
    int vcpu = vcpu_with(GUEST);

    CHECK(get(vcpu, R_DFR0) == 0xf210305009);
    CHECK(run(vcpu) == 0);
}

static void probe_has_mte(void) {
    int vcpu;

    fake_host.mte = true;
    vcpu = vcpu_with(GUEST);
    CHECK(get(vcpu, R_PFR1) == 0x211);
    CHECK_FAILS(run(vcpu), EINVAL);
    CHECK(said("without the baseline's mte") == 1);
}

static void probe_lacks_psci(void) {
    int vcpu = vcpu_with(PMU | SVE);

    CHECK(get(vcpu, R_PSCI) == 1);
    CHECK(get(vcpu_with(GUEST), R_PSCI) == 0x10001);
}

/* As QEMU starts: its probing VM, closed, then the guest's on its numbers. */
static void scratch_then_guest(void) {
    int vm = create_vm(), vcpu = create_vcpu(vm, 0), guest;

    CHECK(init(vcpu, PROBE) == 0);
    CHECK(get(vcpu, R_MIDR) == 0x410fd490);
    CHECK(get(vcpu, R_ISAR0) == 0x0221000110212120);
    close(vcpu);
    close(vm);
    guest = vcpu_with(GUEST);
    CHECK(guest == vcpu); /* the number is used again */
    CHECK(get(guest, R_MIDR) == 0x410fd490);
    CHECK(run(guest) == 0);
}

/* A number that was a vCPU's, ready to run, is another vCPU's now. */
static void number_used_again(void) {
    static const struct fake_guest asks[] = {{STEP_HVC, 0xc6000040, 0, 0},
                                             {STEP_END, 0, 0, 0}};
    int vm = create_vm(), old = create_vcpu(vm, 0), vcpu;

    CHECK(init(old, GUEST) == 0);
    CHECK(run(old) == 0);
    close(old);
    close(vm);
    vm = create_vm();
    vcpu = create_vcpu(vm, 0);
    CHECK(vcpu == old);
    CHECK_FAILS(run(vcpu), EINVAL); /* it was not initialised */
    CHECK(said("a vCPU without the baseline does not run") == 1);
    CHECK(init(vcpu, GUEST) == 0);
    fake_run(vcpu, asks); /* its own page is looked at, not the old one's */
    CHECK(run(vcpu) == 0);
    check_answer(vcpu, 0, 0, 0x10000, 2, 0);
}

static void reset(void) {
    int vm = create_vm(), vcpu = create_vcpu(vm, 0);

    CHECK(init(vcpu, GUEST) == 0);
    fake_create_gic(vm, 3);
    CHECK(run(vcpu) == 0);
    fake_n_sets = 0;
    CHECK(init(vcpu, GUEST | 1 /* POWER_OFF */) == 0);
    CHECK(get(vcpu, R_ISAR0) == 0x0221000110212120);
    CHECK(get(vcpu, R_CLIDR) == 0xc3000023); /* reset had raised it */
    CHECK(fake_n_sets == 1);
    CHECK(run(vcpu) == 0);
    CHECK(said("") == 1);
}

/* KVM has removed PFR0.GIC, because the VM's GIC is version 2. */
static void reset_with_gicv2(void) {
    int vm = create_vm(), vcpu = create_vcpu(vm, 0);

    CHECK(init(vcpu, GUEST) == 0);
    fake_create_gic(vm, 2);
    CHECK(init(vcpu, GUEST) == 0); /* QEMU's reset before the first run */
    CHECK(run(vcpu) == 0);
    CHECK(get(vcpu, R_PFR0) == 0x1100000120111112);
    CHECK(init(vcpu, GUEST) == 0);
    CHECK(run(vcpu) == 0);
}

static void changed_behind_us(void) {
    int vcpu = vcpu_with(GUEST);

    set(vcpu, R_ISAR0, 0x0221000110212020);
    CHECK(run(vcpu) == 0);
    CHECK_FAILS(init(vcpu, GUEST), EINVAL);
    CHECK(said("603000000013c030 cannot be set: wanted 0x221000110212120, "
               "there is 0x221000110212020 (Device or resource busy)") == 1);
}

static void other_descriptors(void) {
    int null = open("/dev/null", O_RDWR), ends[2];
    char byte;
    int waiting;

    CHECK(null >= 0 && pipe(ends) == 0);
    CHECK_FAILS(ioctl(null, KVM_CREATE_VM, 0), ENOTTY);
    CHECK_FAILS(ioctl(ends[0], KVM_CREATE_VM, 0), ENOTTY);
    CHECK_FAILS(ioctl(ends[0], KVM_CREATE_VCPU, 0), ENOTTY);
    CHECK_FAILS(init(ends[0], GUEST), ENOTTY);
    CHECK_FAILS(ioctl(-1, KVM_CREATE_VM, 0), EBADF);
    CHECK_FAILS(ioctl(-1, KVM_RUN, 0), EINVAL);
    CHECK(write(ends[1], "abc", 3) == 3);
    CHECK(ioctl(ends[0], FIONREAD, &waiting) == 0 && waiting == 3);
    CHECK(read(ends[0], &byte, 1) == 1 && byte == 'a');
    CHECK(fake_n_sets == 0);
}

static void malformed(void) {
    int kvm = fake_open_kvm(), null = open("/dev/null", O_RDWR);

    CHECK_FAILS(ioctl(kvm, KVM_CREATE_VM, 0), EINVAL);
    CHECK_FAILS(ioctl(kvm, KVM_CREATE_VM, 0), EINVAL);
    CHECK(fake_count(KVM_CREATE_VM) == 0);
    CHECK(said("NOVA_ARM_BASELINE is malformed: ") == 2);
    CHECK_FAILS(ioctl(null, KVM_CREATE_VM, 0), ENOTTY);
}

static void high_descriptor(void) {
    struct rlimit limit;
    int vcpu = create_vcpu(create_vm(), 0), high;

    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = 20001;
    if (limit.rlim_max < limit.rlim_cur)
        limit.rlim_max = limit.rlim_cur;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        _exit(77); /* only root may raise it */
    high = dup2(vcpu, 20000);
    CHECK(high == 20000);
    CHECK_FAILS(init(high, GUEST), EINVAL);
    CHECK(said("the vCPU of descriptor 20000 cannot have a baseline") == 1);
    CHECK_FAILS(run(high), EINVAL);
}

static void tells_targets(void) {
    static const struct fake_guest asks[] = {
        {STEP_HVC, 0xc6000040, 0, 0},
        {STEP_HVC, 0xc6000041, 0, 0},
        {STEP_MMIO, 0, 0, 0},
        {STEP_HVC, 0xc6000041, 1, 0},
        {STEP_HVC, 0xc6000041, 2, 0},
        {STEP_HVC, 0xc6000041, UINT64_MAX, 0},
        {STEP_HVC, 0xc6000040, 0x77, 0},
        {STEP_END, 0, 0, 0}};
    int vcpu = vcpu_with(GUEST);
    struct kvm_run *page = page_of(vcpu);

    CHECK(get(vcpu, R_BMAP_2) == 3);
    fake_run(vcpu, asks);
    CHECK(run(vcpu) == 0 && page->exit_reason == KVM_EXIT_MMIO);
    CHECK(run(vcpu) == 0 && page->exit_reason == KVM_EXIT_SHUTDOWN);
    check_answer(vcpu, 0, 0, 0x10000, 2, 0);
    check_answer(vcpu, 1, 0, 0x411fd401, 1, 0);
    check_answer(vcpu, 2, 0, 0x410fd490, 0x17, UINT64_MAX);
    check_answer(vcpu, 3, (uint64_t)-3, 0, 0, 0);
    check_answer(vcpu, 4, (uint64_t)-3, 0, 0, 0);
    check_answer(vcpu, 5, 0, 0x10000, 2, 0);
    /* A reset keeps it: the bitmap cannot be changed any more. */
    CHECK(init(vcpu, GUEST) == 0);
    CHECK(get(vcpu, R_BMAP_2) == 3);
}

static void signals(void) {
    static const struct fake_guest asks[] = {{STEP_SIGNAL, 0, 0, 0},
                                             {STEP_HVC, 0xc6000040, 0, 0},
                                             {STEP_SIGNAL, 0, 0, 0},
                                             {STEP_HVC, 0xc6000041, 1, true},
                                             {STEP_END, 0, 0, 0}};
    int vcpu = vcpu_with(GUEST);
    struct kvm_run *page = page_of(vcpu);

    fake_run(vcpu, asks);
    CHECK_FAILS(run(vcpu), EINTR); /* before it asks */
    CHECK_FAILS(run(vcpu), EINTR); /* when it has its answer */
    check_answer(vcpu, 0, 0, 0x10000, 2, 0);
    CHECK_FAILS(run(vcpu), EINTR); /* between the exit and the guest */
    CHECK(page->exit_reason == KVM_EXIT_HYPERCALL); /* it is old: EINTR */
    CHECK(get(vcpu, UINT64_C(0x6030000000100002)) == 0x410fd490);
    CHECK(!fake_answer(vcpu, 1)); /* set, and the guest has not run */
    fake_n_sets = 0;
    CHECK_FAILS(run(vcpu), EINTR);
    CHECK(fake_n_sets == 0); /* the old exit is not answered again */
    page->immediate_exit = 0;
    CHECK(run(vcpu) == 0 && page->exit_reason == KVM_EXIT_SHUTDOWN);
    check_answer(vcpu, 1, 0, 0x410fd490, 0x17, UINT64_MAX);
}

static void other_call(void) {
    static const struct fake_guest asks[] = {{STEP_HVC, 0xc6000055, 7, 0},
                                             {STEP_END, 0, 0, 0}};
    int vcpu = vcpu_with(GUEST);
    struct kvm_run *page = page_of(vcpu);

    fake_run(vcpu, asks);
    CHECK(run(vcpu) == 0 && page->exit_reason == KVM_EXIT_HYPERCALL);
    CHECK(page->hypercall.nr == 0xc6000055);
    CHECK(get(vcpu, UINT64_C(0x6030000000100002)) == 7);
}

static void no_filter(void) {
    static const struct fake_guest asks[] = {{STEP_HVC, 0xc6000040, 0, 0},
                                             {STEP_END, 0, 0, 0}};
    int vcpu;

    fake_host.smccc_filter = false;
    CHECK(run(vcpu_with(GUEST)) == 0);
    vcpu = vcpu_with(GUEST);
    CHECK(get(vcpu, R_BMAP_2) == 0);
    fake_run(vcpu, asks);
    CHECK(run(vcpu) == 0);
    check_answer(vcpu, 0, UINT64_MAX, 0, 0, 0);
    CHECK(said("pool-1: KVM has no SMCCC filter") == 1);
}

static void no_bitmap(void) {
    fake_host.vendor_hyp_bmap_2 = false;
    CHECK(run(vcpu_with(GUEST)) == 0);
    CHECK(run(vcpu_with(GUEST)) == 0);
    CHECK(said("pool-1: KVM has no VENDOR_HYP_BMAP_2") == 1);
    CHECK(said("registers set: 1") == 2);
}

static void bitmap_of_the_baseline(void) {
    int vcpu = vcpu_with(GUEST);

    CHECK(get(vcpu, R_BMAP_2) == 0);
    CHECK(run(vcpu) == 0);
    CHECK(init(vcpu, GUEST) == 0);
}

static void unanswerable(void) {
    static const struct fake_guest asks[] = {{STEP_HVC, 0xc6000040, 0, 0},
                                             {STEP_END, 0, 0, 0}};
    int vcpu = vcpu_with(GUEST);

    fake_host.refuse_core = 3;
    fake_run(vcpu, asks);
    CHECK_FAILS(run(vcpu), EINVAL);
    CHECK(said("pool-1: the guest's call cannot be answered") == 1);
}

static void run_makes_no_calls(void) {
    struct fake_guest steps[101] = {{STEP_END, 0, 0, 0}};
    int vcpu = vcpu_with(GUEST);
    unsigned before = fake_count_all();

    for (int i = 0; i < 100; i++)
        steps[i].step = STEP_MMIO;
    fake_run(vcpu, steps);
    for (int i = 0; i < 100; i++)
        CHECK(run(vcpu) == 0);
    CHECK(fake_count_all() - before == 100);
    CHECK(fake_count(KVM_RUN) == 100);
}

static void *vcpu_thread(void *argument) {
    static const struct fake_guest asks[] = {{STEP_HVC, 0xc6000040, 0, 0},
                                             {STEP_MMIO, 0, 0, 0},
                                             {STEP_HVC, 0xc6000041, 1, 0},
                                             {STEP_END, 0, 0, 0}};
    int vcpu = *(int *)argument;

    for (unsigned i = 0; i < 20; i++) {
        CHECK(init(vcpu, GUEST) == 0);
        CHECK(get(vcpu, R_ISAR0) == 0x0221000110212120);
        CHECK(get(vcpu, R_CLIDR) == 0xc3000023);
        fake_run(vcpu, asks);
        CHECK(run(vcpu) == 0 && run(vcpu) == 0);
        check_answer(vcpu, 2 * i, 0, 0x10000, 2, 0);
        check_answer(vcpu, 2 * i + 1, 0, 0x410fd490, 0x17, UINT64_MAX);
    }
    return NULL;
}

static void threads(void) {
    int vm = create_vm(), vcpus[8];
    pthread_t ids[8];

    for (int i = 0; i < 8; i++)
        vcpus[i] = create_vcpu(vm, i);
    for (int i = 0; i < 8; i++)
        CHECK(pthread_create(&ids[i], NULL, vcpu_thread, &vcpus[i]) == 0);
    for (int i = 0; i < 8; i++)
        CHECK(pthread_join(ids[i], NULL) == 0);
    CHECK(said("") == 1);
}

static const struct {
    const char *name, *baseline;
    void (*function)(void);
} cases[] = {
#define CASE(name, baseline) {#name, baseline, name}
    CASE(unset, NULL),
    CASE(sets_registers, "1;pool-1;;" MIDR "," ISAR0 "," ISAR1 "," CLIDR ";"),
    CASE(order, "1;pool-1;;" ISAR1 "," MIDR "," ISAR0 ";"),
    CASE(equal_not_set, "1;pool-1;;603000000013c030=0x221100110212120;"),
    CASE(second_vcpu, "1;pool-1;;" ISAR0 "," CLIDR ";"),
    CASE(no_capability_needed, ONE),
    CASE(capability_refused, "1;pool-1;;" MIDR ";"),
    CASE(refused, "1;pool-1;;603000000013c030=0xf221100110212120;"),
    CASE(no_such_register, "1;pool-1;;603000000013c03f=0x1;"),
    CASE(copdbg_below_armv8, "1;pool-1;;603000000013c00a=0x0;"),
    CASE(kept_by_kvm, "1;pool-1;;6030000000140001=0x0;"),
    CASE(narrow_register, "1;pool-1;;6020000000110000=0x700fe01a;"),
    CASE(narrow_register_differs, "1;pool-1;;6020000000110000=0x700fe01b;"),
    CASE(init_refused_by_kvm, ONE),
    CASE(probe_has_pauth, "1;pool-1;;" ISAR1 ";"),
    CASE(guest_has_pauth, "1;pool-1;pauth;" ISAR1_PAUTH ";"),
    CASE(guest_lacks_pauth, "1;pool-1;pauth;" ISAR1_PAUTH ";"),
    CASE(pauth_qarma3, "1;pool-1;pauth;" ISAR1 "," ISAR2_QARMA3 ";"),
    CASE(pauth_of_another_kind, "1;pool-1;pauth;" ISAR1_PAUTH ";"),
    CASE(probe_has_sve, "1;pool-1;;" SVE_NONE ";"),
    CASE(guest_lacks_sve, "1;pool-1;;603000000013c020=0x1100000121111112,"
                          "603000000013c024=0x0000010000000021;"),
    CASE(no_sve, "1;pool-1;;" SVE_NONE ";"),
    CASE(pmu, "1;pool-1;;" PMU_5 ";"),
    CASE(guest_lacks_pmu, "1;pool-1;;" PMU_5 ";"),
    CASE(pmu_lowered, "1;pool-1;;603000000013c028=0xf210305009;"),
    CASE(probe_has_mte, "1;pool-1;;603000000013c021=0x11;"),
    CASE(probe_lacks_psci, "1;pool-1;;6030000000140000=0x10001;"),
    CASE(scratch_then_guest, "1;pool-1;;" MIDR "," ISAR0 "," ISAR1 ";"),
    CASE(number_used_again, "1;pool-1;;" ISAR0 ";" TARGETS),
    CASE(reset, "1;pool-1;;" MIDR "," ISAR0 "," CLIDR
                ",603000000013c020=0x1100000121111112;"),
    CASE(reset_with_gicv2, "1;pool-1;;603000000013c020=0x1100000121111112;"),
    CASE(changed_behind_us, ONE),
    CASE(other_descriptors, ONE),
    CASE(malformed, ONE "x"),
    CASE(high_descriptor, ONE),
    CASE(tells_targets, "1;pool-1;;" ISAR0 ";" TARGETS),
    CASE(signals, "1;pool-1;;" ISAR0 ";" TARGETS),
    CASE(other_call, "1;pool-1;;" ISAR0 ";" TARGETS),
    CASE(no_filter, "1;pool-1;;" ISAR0 ";" TARGETS),
    CASE(no_bitmap, "1;pool-1;;" ISAR0 ";" TARGETS),
    CASE(bitmap_of_the_baseline,
         "1;pool-1;;" ISAR0 ",6030000000160003=0x0;" TARGETS),
    CASE(unanswerable, "1;pool-1;;" ISAR0 ";" TARGETS),
    CASE(run_makes_no_calls, "1;pool-1;;" ISAR0 ";" TARGETS),
    CASE(threads, "1;pool-1;;" ISAR0 "," CLIDR ";" TARGETS),
};

/* cases --list; cases NAME LOG; the log is what goes to standard error */
int main(int argc, char **argv) {
    bool again = getenv("SHIM_CASE") != NULL;
    int log;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        if (argc == 2 && strcmp(argv[1], "--list") == 0)
            puts(cases[i].name);
        if (argc != 3 || strcmp(cases[i].name, argv[1]) != 0)
            continue;
        if (!again) { /* the shim reads the environment before main() */
            setenv("SHIM_CASE", argv[1], 1);
            if (cases[i].baseline)
                setenv("NOVA_ARM_BASELINE", cases[i].baseline, 1);
            else
                unsetenv("NOVA_ARM_BASELINE");
            execv("/proc/self/exe", argv);
            return 2;
        }
        log_path = argv[2];
        log = open(log_path, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0600);
        CHECK(log >= 0 && dup2(log, STDERR_FILENO) == STDERR_FILENO);
        close(log);
        cases[i].function();
        puts("passed");
        return 0;
    }
    return argc == 2 ? 0 : 2;
}
