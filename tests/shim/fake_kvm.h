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

/* A KVM of arm64 in this process, for tests of the shim. See fake_kvm.c. */

#ifndef FAKE_KVM_H
#define FAKE_KVM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

/* The kernel and the CPU below; a case changes them before it opens KVM. */
struct fake_host {
    bool writable_imp_ids;  /* Linux 6.15 and newer */
    bool smccc_filter;      /* Linux 6.4 and newer */
    bool vendor_hyp_bmap_2; /* Linux 6.15 and newer */
    bool mte;               /* every VM has KVM_CAP_ARM_MTE */
    bool qarma3;            /* pauth is in ISAR2, not in ISAR1 */
    bool no_pauth;          /* the CPU has no pauth */
    unsigned refuse_core;   /* refuse to set x0 to x(n - 1) */
};
extern struct fake_host fake_host;

/* What the guest does, step by step, when its vCPU runs. */
enum fake_step { STEP_END, STEP_HVC, STEP_MMIO, STEP_SIGNAL };
struct fake_guest {
    enum fake_step step;
    uint64_t x0, x1; /* of STEP_HVC */
    bool kick;       /* a signal handler sets immediate_exit meanwhile */
};

int fake_open_kvm(void);
void fake_run(int vcpu, const struct fake_guest *steps);
/* x0 to x3 after the guest's call number `call`, counted from 0. */
const uint64_t *fake_answer(int vcpu, unsigned call);
void fake_create_gic(int vm, unsigned version);
/* Calls of ioctl with this request that have reached the kernel. */
unsigned fake_count(unsigned long request);
unsigned fake_count_all(void);
/* The registers that were set, in this order. */
extern uint64_t fake_sets[256];
extern unsigned fake_n_sets;

#define KVM_ARM_VCPU_INIT_NUMBER 0x4020aeaeUL
struct fake_vcpu_init {
    uint32_t target, features[7];
};

#define R(op0, op1, crn, crm, op2)                                             \
    (UINT64_C(0x6030000000130000) | (op0) << 14 | (op1) << 11 | (crn) << 7 |   \
     (crm) << 3 | (op2))
#define R_MIDR R(3, 0, 0, 0, 0)
#define R_REVIDR R(3, 0, 0, 0, 6)
#define R_AIDR R(3, 1, 0, 0, 7)
#define R_DFR0_32 R(3, 0, 0, 1, 2)
#define R_PFR0 R(3, 0, 0, 4, 0)
#define R_PFR1 R(3, 0, 0, 4, 1)
#define R_ZFR0 R(3, 0, 0, 4, 4)
#define R_DFR0 R(3, 0, 0, 5, 0)
#define R_ISAR0 R(3, 0, 0, 6, 0)
#define R_ISAR1 R(3, 0, 0, 6, 1)
#define R_ISAR2 R(3, 0, 0, 6, 2)
#define R_CTR R(3, 3, 0, 0, 1)
#define R_CLIDR R(3, 1, 0, 0, 1)
#define R_PMCR R(3, 3, 9, 12, 0)
#define R_PSCI UINT64_C(0x6030000000140000)
#define R_WORKAROUND_1 UINT64_C(0x6030000000140001)
#define R_BMAP_2 UINT64_C(0x6030000000160003)
#define R_CCSIDR UINT64_C(0x6020000000110000)

#endif
