/*
 * near.c: on which CPU the pump runs.
 *
 * A device thread that has mixed a block wakes the pump and sleeps; what the pump
 * then sends and fills is what the device thread has touched or will touch next.
 * On the same CPU it finds that in its cache, and needs no interrupt of another
 * CPU to be woken.  The kernel never does that by itself for realtime threads: it
 * moves the lower one away from a CPU on which a higher one runs.  So a realtime
 * pump follows the device thread, as long as one device runs and both together
 * leave the CPU idle most of the time; else it may run anywhere it could before.
 * Runs on the pump.
 */
#define _GNU_SOURCE
#include <sched.h>
#include "conn.h"

#define CROWDED		2		/* a half of a block's time: too much for one CPU */
#define ROOMY		4		/* a quarter: few enough to come back */

static void
place(struct pump *p, int cpu)		/* -1: anywhere */
{
	cpu_set_t one;

	if (cpu == p->cpu)
		return;
	CPU_ZERO(&one);
	if (cpu >= 0)
		CPU_SET((size_t)cpu, &one);
	if (sched_setaffinity(0, sizeof(one), cpu >= 0 ? &one : &p->anywhere) < 0)
		p->movable = 0;			/* taken out of our set meanwhile: leave it to the kernel */
	p->cpu = cpu;
}

void
near_begin(struct pump *p)
{
	p->cpu = -1;
	p->movable = p->thread.asked > 0 && atomic_load(&p->thread.err) == 0 &&
	    sched_getaffinity(0, sizeof(p->anywhere), &p->anywhere) == 0 && CPU_COUNT(&p->anywhere) > 1;
}

/* after a pass that served a cycle of `only`, NULL: of none or of several devices */
void
near_follow(struct pump *p, const struct pdev *only)
{
	int64_t cost, period;

	if (!p->movable)
		return;
	if (only == NULL) {
		place(p, -1);
		return;
	}
	p->cost_ns += (now_ns() - p->now - p->cost_ns) / 8;
	cost = p->cost_ns + atomic_load_explicit(&only->dev->cost_ns, memory_order_relaxed);
	period = only->dev->period_ns;
	if (cost * CROWDED > period)
		place(p, -1);
	else if (p->cpu >= 0 || cost * ROOMY < period)
		place(p, atomic_load_explicit(&only->dev->cpu, memory_order_relaxed));
}
