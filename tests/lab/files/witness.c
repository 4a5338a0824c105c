/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may
 * not use this file except in compliance with the License. You may obtain
 * a copy of the License at
 *
 *     http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software
 * distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
 * WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
 * License for the specific language governing permissions and limitations
 * under the License.
 */

/*
 * PID 1 of a lab guest: watches, from inside, whether a live migration left
 * the guest as it was.
 *
 * Each worker is a process that checks one thing in rounds and counts them in
 * shared memory. The parent prints a numbered line three times a second:
 *
 *     witness SEQ NAME=ROUNDS/WRONG ... [dead=NAME:SIGNAL]
 *
 * The lines before and after a migration must be numbered without a gap, every
 * ROUNDS must go on, every WRONG stay 0. The first wrong thing of a worker is
 * told in a line "wrong NAME: TEXT".
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef PR_SVE_SET_VL
#define PR_SVE_SET_VL 50
#define PR_SVE_GET_VL 51
#endif

/* For the assembler only: the compiler itself must not use any of it. */
__asm__(".arch armv8.6-a+crypto+sha3+sm4+sve2+sve2-aes+i8mm+bf16+fp16+memtag");

#define HWCAP(n) (getauxval(AT_HWCAP) >> (n) & 1)
#define HWCAP_2(n) (getauxval(AT_HWCAP2) >> (n) & 1)

struct share {
	volatile uint64_t rounds;
	volatile uint64_t wrong;
	char text[120];
	volatile int told;
};

static struct share *mine;

static uint64_t now(void)
{
	uint64_t ticks;

	__asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(ticks) : : "memory");
	return ticks;
}

static uint64_t frequency(void)
{
	uint64_t hertz;

	__asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hertz));
	return hertz;
}

__attribute__((format(printf, 1, 2))) static void wrong(const char *format, ...)
{
	va_list list;

	if (!mine->wrong) {
		va_start(list, format);
		vsnprintf(mine->text, sizeof(mine->text), format, list);
		va_end(list);
	}
	mine->wrong++;
}

static uint64_t mix(uint64_t value)
{
	value += 0x9e3779b97f4a7c15;
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
	value = (value ^ value >> 27) * 0x94d049bb133111eb;
	return value ^ value >> 31;
}

static void fill(void *where, size_t bytes, uint64_t seed)
{
	uint64_t *words = where;

	for (size_t i = 0; i < bytes / 8; i++)
		words[i] = mix(seed + i);
}

/*
 * Pause for microseconds, and for the milliseconds that "calm" says: several
 * guests that check without rest take a host's time from one another.
 */
static void rest(useconds_t pause)
{
	const char *calm = getenv("calm");

	usleep(pause + (calm ? strtoul(calm, NULL, 10) * 1000 : 0));
}

/* Check and rewrite memory over and over, with microseconds of pause. */
static void rewrite(size_t size, useconds_t pause)
{
	uint64_t *words = mmap(NULL, size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	fill(words, size, 1);
	for (uint64_t seed = 1;; seed++) {
		for (size_t i = 0; i < size / 8; i++) {
			if (words[i] != mix(seed + i))
				wrong("word %zu is %lx", i, words[i]);
			words[i] = mix(seed + i + 1);
		}
		mine->rounds++;
		if (pause)
			rest(pause);
	}
}

static void work_memory(void)
{
	rewrite(2 << 20, 30000);
}

/* So many MiB, as fast as it goes. */
static void work_dirty(void)
{
	rewrite(strtoul(getenv("dirty"), NULL, 10) << 20, 0);
}

#define ALL32 \
	"0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24," \
	"25,26,27,28,29,30,31"
#define ALL16 "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"
#define VECTORS \
	"v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", \
	"v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", \
	"v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", \
	"v31"

/* Keep patterns in v0-v31 over many system calls and context switches. */
static void work_fp(void)
{
	static uint8_t in[512] __attribute__((aligned(16)));
	static uint8_t out[512] __attribute__((aligned(16)));

	for (uint64_t seed = 7;; seed++) {
		fill(in, sizeof(in), seed * 1000);
		uint64_t end = now() + frequency() / 50;

		__asm__ volatile(
			".irp n," ALL32 "\n ldr q\\n, [%0, #16 * \\n]\n .endr\n"
			"1: mov x8, #124\n svc #0\n" /* sched_yield */
			"mrs x9, cntvct_el0\n cmp x9, %2\n b.lo 1b\n"
			".irp n," ALL32 "\n str q\\n, [%1, #16 * \\n]\n .endr\n"
			: : "r"(in), "r"(out), "r"(end)
			: "memory", "cc", "x0", "x8", "x9", VECTORS);
		if (memcmp(in, out, sizeof(in)))
			wrong("a vector register changed");
		mine->rounds++;
		rest(20000);
	}
}

/* Keep patterns in z0-z31 and p0-p15 at the vector length in force. */
static void sve_round(unsigned int bytes, uint64_t seed)
{
	static uint8_t in[32 * 256 + 16 * 32] __attribute__((aligned(64)));
	static uint8_t out[32 * 256 + 16 * 32] __attribute__((aligned(64)));
	/* Long where QEMU loses bits, or it would be luck to be hit by a move. */
	uint64_t length, again;
	uint64_t end = now() + frequency() / (bytes > 128 ? 4 : 50);
	uint8_t *pin = in + 32 * 256, *pout = out + 32 * 256;

	fill(in, sizeof(in), seed * 1000);
	memset(out, 0, sizeof(out));
	/* No system call here: one may clear all but the low 128 bits. */
	__asm__ volatile(
		"rdvl %0, #1\n"
		".irp n," ALL32 "\n ldr z\\n, [%2, #\\n, mul vl]\n .endr\n"
		".irp n," ALL16 "\n ldr p\\n, [%4, #\\n, mul vl]\n .endr\n"
		"1: mrs x9, cntvct_el0\n cmp x9, %6\n b.lo 1b\n"
		".irp n," ALL32 "\n str z\\n, [%3, #\\n, mul vl]\n .endr\n"
		".irp n," ALL16 "\n str p\\n, [%5, #\\n, mul vl]\n .endr\n"
		"rdvl %1, #1\n"
		: "=&r"(length), "=&r"(again)
		: "r"(in), "r"(out), "r"(pin), "r"(pout), "r"(end)
		: "memory", "cc", "x9", VECTORS);
	if (length != bytes || again != bytes)
		wrong("vector length %u became %lu, %lu", bytes, length, again);
	else if (memcmp(in, out, 32 * bytes) || memcmp(pin, pout, 2 * bytes))
		wrong("an SVE register changed at length %u", bytes);
}

static void work_sve(void)
{
	int bytes = prctl(PR_SVE_SET_VL, 256) & 0xffff;

	/*
	 * QEMU loses bits only of the registers that the vCPU has when it
	 * stops, so this program has to be the one that runs.
	 */
	if (bytes > 128)
		setpriority(PRIO_PROCESS, 0, -10);
	for (uint64_t seed = 11;; seed++) {
		sve_round(bytes, seed);
		mine->rounds++;
		sched_yield();
	}
}

/* Every vector length that the guest has, in turn. */
static void work_lengths(void)
{
	unsigned int lengths[16], count = 0;

	for (unsigned int bytes = 16; bytes <= 256; bytes += 16)
		if ((prctl(PR_SVE_SET_VL, bytes) & 0xffff) == (int)bytes)
			lengths[count++] = bytes;
	for (uint64_t seed = 13;; seed++) {
		unsigned int bytes = lengths[seed % count];
		int got = prctl(PR_SVE_SET_VL, bytes) & 0xffff;

		if (got != (int)bytes)
			wrong("length %u can't be set: %d", bytes, got);
		sve_round(bytes, seed);
		if (seed % count == 0)
			mine->rounds++;
		sched_yield();
	}
}

/* Pointers signed before a migration must authenticate after it. */
static void work_pauth(void)
{
	uint64_t plain = (uint64_t)&mine, code = plain, data = plain;
	uint64_t generic, context = 42;

	__asm__ volatile("pacia %0, %1" : "+r"(code) : "r"(context));
	__asm__ volatile("pacda %0, %1" : "+r"(data) : "r"(context));
	__asm__ volatile("pacga %0, %1, %2"
			 : "=r"(generic) : "r"(plain), "r"(context));
	for (;;) {
		uint64_t a = code, d = data, c = plain, g;

		__asm__ volatile("autia %0, %1" : "+r"(a) : "r"(context));
		__asm__ volatile("autda %0, %1" : "+r"(d) : "r"(context));
		__asm__ volatile("pacia %0, %1" : "+r"(c) : "r"(context));
		__asm__ volatile("pacga %0, %1, %2"
				 : "=r"(g) : "r"(plain), "r"(context));
		if (a != plain || d != plain)
			wrong("a signed pointer no longer authenticates");
		if (c != code || g != generic)
			wrong("the same key signs differently");
		mine->rounds++;
		rest(10000);
	}
}

static void work_timer(void)
{
	uint64_t hertz = frequency(), last = now();
	struct timespec before, after, nap = { 0, 20000000 };

	clock_gettime(CLOCK_MONOTONIC, &before);
	for (;;) {
		uint64_t ticks, start = now();

		nanosleep(&nap, NULL);
		ticks = now();
		clock_gettime(CLOCK_MONOTONIC, &after);
		if (frequency() != hertz)
			wrong("CNTFRQ_EL0 %lu became %lu", hertz, frequency());
		if (ticks < last || ticks - start < hertz / 50)
			wrong("the counter went from %lu to %lu", last, ticks);
		if (after.tv_sec < before.tv_sec ||
		    (after.tv_sec == before.tv_sec &&
		     after.tv_nsec < before.tv_nsec))
			wrong("the clock went backwards");
		last = ticks;
		before = after;
		mine->rounds++;
	}
}

/* The ID registers that Linux shows to user space, and what it made of them. */
#define SEE(name) \
	do { \
		uint64_t value; \
		__asm__ volatile("mrs %0, " name : "=r"(value)); \
		printf(" " name "=%lx", value); \
	} while (0)

static void print_identity(void)
{
	FILE *cpuinfo = fopen("/proc/cpuinfo", "r");
	unsigned int part = 0, implementer = 0;
	char line[2048];

	while (cpuinfo && fgets(line, sizeof(line), cpuinfo)) {
		sscanf(line, "CPU implementer : %x", &implementer);
		sscanf(line, "CPU part : %x", &part);
	}
	if (cpuinfo)
		fclose(cpuinfo);
	printf("witness sees");
	if (HWCAP(11)) {
		SEE("midr_el1");
		SEE("revidr_el1");
		SEE("id_aa64pfr0_el1");
		SEE("id_aa64pfr1_el1");
		SEE("id_aa64isar0_el1");
		SEE("id_aa64isar1_el1");
		SEE("id_aa64mmfr0_el1");
		SEE("id_aa64mmfr1_el1");
		SEE("id_aa64mmfr2_el1");
		SEE("id_aa64dfr0_el1");
	}
	SEE("ctr_el0");
	SEE("dczid_el0");
	SEE("cntfrq_el0");
	printf(" hwcap=%lx hwcap2=%lx implementer=%x part=%x\n",
	       getauxval(AT_HWCAP), getauxval(AT_HWCAP2), implementer, part);
}

/*
 * CTR_EL0.TminLine: with another CPU model, the guest sees its host's. KVM traps
 * the register only if it differs in a field that KVM knows.
 */
#define TMIN_LINE (63ul << 32)

/* What user space reads straight from the hardware. */
static void work_identity(void)
{
	static uint8_t area[8192] __attribute__((aligned(4096)));
	uint64_t first[2] = { 0, 0 }, midr0 = 0;

	for (uint64_t round = 0;; round++) {
		uint64_t id[2], midr = 0;
		size_t zeroed = 0, block;

		__asm__ volatile("mrs %0, ctr_el0" : "=r"(id[0]));
		__asm__ volatile("mrs %0, dczid_el0" : "=r"(id[1]));
		if (HWCAP(11))
			__asm__ volatile("mrs %0, midr_el1" : "=r"(midr));
		if (!round) {
			memcpy(first, id, sizeof(id));
			midr0 = midr;
		}
		if ((id[0] ^ first[0]) & ~TMIN_LINE)
			wrong("CTR_EL0 %lx became %lx", first[0], id[0]);
		if (id[1] != first[1])
			wrong("DCZID_EL0 %lx became %lx", first[1], id[1]);
		if (midr != midr0)
			wrong("MIDR_EL1 %lx became %lx", midr0, midr);
		if (!(first[1] & 16)) {
			block = 4ul << (first[1] & 15);
			memset(area, 0xff, sizeof(area));
			__asm__ volatile("dc zva, %0"
					 : : "r"(area + 4096) : "memory");
			for (size_t i = 0; i < sizeof(area); i++)
				zeroed += !area[i];
			if (zeroed != block)
				wrong("DC ZVA cleared %zu bytes", zeroed);
		}
		mine->rounds++;
		rest(10000);
	}
}

#define RUN(cap, text) \
	do { \
		if (cap) { \
			__asm__ volatile( \
				"ldp q0, q1, [%1]\n ldp q2, q3, [%1, #32]\n" \
				"ldp x4, x5, [%1]\n mov x6, #0\n" text "\n" \
				"stp q0, q1, [%0]\n stp x4, x6, [%0, #32]\n" \
				: : "r"(out), "r"(in) \
				: "memory", "cc", "x4", "x5", "x6", VECTORS); \
			for (int i = 0; i < 6; i++) \
				sum = mix(sum ^ out[i]); \
			used++; \
		} \
	} while (0)

/* Instructions that the guest was promised give what they always gave. */
static void work_instructions(void)
{
	static uint64_t in[8] __attribute__((aligned(64)));
	static uint64_t out[8] __attribute__((aligned(64)));
	uint64_t first = 0;

	for (uint64_t round = 0;; round++) {
		uint64_t sum = 0;
		int used = 0;

		fill(in, sizeof(in), 3);
		RUN(HWCAP(3), "aese v0.16b, v1.16b\n aesmc v0.16b, v0.16b");
		RUN(HWCAP(4), "pmull v0.1q, v1.1d, v2.1d");
		RUN(HWCAP(5), "sha1h s0, s1");
		RUN(HWCAP(6), "sha256h q0, q1, v2.4s");
		RUN(HWCAP(7), "crc32cx w4, w4, x5");
		RUN(HWCAP(8), "ldadd x5, x6, [%0]\n mov x6, #0");
		RUN(HWCAP(10), "fmaxnm v0.8h, v1.8h, v2.8h");
		RUN(HWCAP(12), "sqrdmlah v0.8h, v1.8h, v2.8h");
		RUN(HWCAP(13), "fjcvtzs w4, d1");
		RUN(HWCAP(14), "fcadd v0.4s, v1.4s, v2.4s, #90");
		RUN(HWCAP(15), "ldapr x4, [%1]");
		RUN(HWCAP(16), "dc cvap, %1");
		RUN(HWCAP(17), "eor3 v0.16b, v1.16b, v2.16b, v3.16b");
		RUN(HWCAP(18), "sm3partw1 v0.4s, v1.4s, v2.4s");
		RUN(HWCAP(19), "sm4e v0.4s, v1.4s");
		RUN(HWCAP(20), "sdot v0.4s, v1.16b, v2.16b");
		RUN(HWCAP(21), "sha512h q0, q1, v2.2d");
		RUN(HWCAP(23), "fmlal v0.4s, v1.4h, v2.4h");
		RUN(HWCAP(24), "msr dit, #1\n msr dit, #0");
		RUN(HWCAP(26), "ldapur x4, [%1, #8]");
		RUN(HWCAP(27), "cfinv");
		RUN(HWCAP(29), "sb");
		RUN(HWCAP_2(0), "dc cvadp, %1");
		RUN(HWCAP_2(7), "axflag\n xaflag");
		RUN(HWCAP_2(8), "frint32z v0.4s, v1.4s");
		RUN(HWCAP_2(13), "usmmla v0.4s, v1.16b, v2.16b");
		RUN(HWCAP_2(14), "bfdot v0.4s, v1.8h, v2.8h");
		RUN(HWCAP_2(1), "sqrdmlah z0.d, z1.d, z2.d");
		RUN(HWCAP_2(2), "aese z0.b, z0.b, z1.b");
		if (!round)
			first = sum;
		if (sum != first)
			wrong("one of %d instructions computes differently",
			      used);
		mine->rounds++;
		rest(10000);
	}
}

static struct worker {
	const char *name;
	void (*work)(void);
	int wanted;
	pid_t pid;
	int signal;
} workers[] = {
	{ "memory", work_memory, 1, 0, 0 },
	{ "fp", work_fp, 1, 0, 0 },
	{ "sve", work_sve, 0, 0, 0 },
	{ "lengths", work_lengths, 0, 0, 0 },
	{ "pauth", work_pauth, 0, 0, 0 },
	{ "timer", work_timer, 1, 0, 0 },
	{ "identity", work_identity, 1, 0, 0 },
	{ "instructions", work_instructions, 1, 0, 0 },
	{ "dirty", work_dirty, 0, 0, 0 },
};

#define WORKERS (sizeof(workers) / sizeof(*workers))

int main(void)
{
	struct share *shares = mmap(NULL, sizeof(*shares) * WORKERS,
				    PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct timespec pause = { 0, 300000000 };

	setvbuf(stdout, NULL, _IOFBF, 4096);
	workers[2].wanted = workers[3].wanted = HWCAP(22);
	workers[4].wanted = HWCAP(30);
	/* The kernel hands what it does not know on its command line to us. */
	workers[WORKERS - 1].wanted = getenv("dirty") != NULL;
	printf("witness starts: hwcap %lx %lx\n", getauxval(AT_HWCAP),
	       getauxval(AT_HWCAP2));
	print_identity();
	fflush(stdout);
	for (size_t i = 0; i < WORKERS; i++) {
		if (!workers[i].wanted)
			continue;
		workers[i].pid = fork();
		if (!workers[i].pid) {
			mine = &shares[i];
			workers[i].work();
		}
	}
	setpriority(0, 0, -5);
	for (uint64_t sequence = 0;; sequence++) {
		int status;
		pid_t pid;

		nanosleep(&pause, NULL);
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			for (size_t i = 0; i < WORKERS; i++)
				if (workers[i].pid == pid)
					workers[i].signal =
						WIFSIGNALED(status) ?
						WTERMSIG(status) : 255;
		if (sequence % 8 == 7)
			print_identity();
		printf("witness %lu", sequence);
		for (size_t i = 0; i < WORKERS; i++)
			if (workers[i].wanted)
				printf(" %s=%lu/%lu", workers[i].name,
				       shares[i].rounds, shares[i].wrong);
		for (size_t i = 0; i < WORKERS; i++)
			if (workers[i].signal)
				printf(" dead=%s:%d", workers[i].name,
				       workers[i].signal);
		printf("\n");
		for (size_t i = 0; i < WORKERS; i++)
			if (shares[i].wrong && !shares[i].told) {
				printf("wrong %s: %s\n", workers[i].name,
				       shares[i].text);
				shares[i].told = 1;
			}
		fflush(stdout);
	}
}
