/*
 * check.h: assertions for the engine's C tests, with values in the message.
 *
 * A failed check prints file:line and aborts, so that a debugger stops there;
 * CHECK_DONE prints how many passed and is main's last statement.  A test that
 * made no check fails.  Any thread.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>

static _Atomic unsigned long check_count;

#define CHECK(cond) do {								\
	if (!(cond)) {									\
		fprintf(stderr, "%s:%d: %s: failed\n", __FILE__, __LINE__, #cond);	\
		abort();								\
	}										\
	check_count++;									\
} while (0)

/* equal integers */
#define CHECK_EQ(a, b) do {								\
	const long long check_a = (long long)(a), check_b = (long long)(b);		\
	if (check_a != check_b) {							\
		fprintf(stderr, "%s:%d: %s == %s: %lld, not %lld\n",			\
		    __FILE__, __LINE__, #a, #b, check_a, check_b);			\
		abort();								\
	}										\
	check_count++;									\
} while (0)

/* reals at most tol apart; tol 0: equal */
#define CHECK_NEAR(a, b, tol) do {							\
	const double check_a = (double)(a), check_b = (double)(b);			\
	const double check_d = check_a > check_b ? check_a - check_b : check_b - check_a; \
	if (!(check_d <= (double)(tol))) {						\
		fprintf(stderr, "%s:%d: %s == %s: %.17g, not %.17g\n",			\
		    __FILE__, __LINE__, #a, #b, check_a, check_b);			\
		abort();								\
	}										\
	check_count++;									\
} while (0)

#define CHECK_DONE() do {								\
	printf("%lu checks passed\n", check_count);					\
	return check_count > 0 ? 0 : 1;							\
} while (0)

#endif
