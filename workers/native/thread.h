/* A thread that owns sockets, its clock, and how Python reads its figures: relay and media plane each have one. */
#ifndef TANDEM_THREAD_H
#define TANDEM_THREAD_H
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

struct thread {
    pthread_t id;
    int exists;
    _Atomic int running;
};

static inline int is_running(struct thread *t) { return atomic_load_explicit(&t->running, memory_order_acquire); }

/* `cpu` < 0: wherever the kernel likes. `name`: for `top -H`, and whoever else measures it. -1: there is none. */
static inline int thread_start(struct thread *t, const char *name, int cpu, void *(*run)(void *), void *argument) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        pthread_attr_setaffinity_np(&attributes, sizeof set, &set);
    }
    sigset_t all, before; /* signals are Python's */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_store(&t->running, 1);
    t->exists = !pthread_create(&t->id, &attributes, run, argument);
    if (t->exists) pthread_setname_np(t->id, name);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return t->exists ? 0 : -1;
}

/* It ends; `wake_fd` is the eventfd that ends its wait. */
static inline void thread_stop(struct thread *t, int wake_fd) {
    uint64_t one = 1;
    if (!t->exists) return;
    atomic_store_explicit(&t->running, 0, memory_order_release);
    (void)!write(wake_fd, &one, sizeof one);
    pthread_join(t->id, NULL);
    t->exists = 0;
}

static inline int64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void sleep_until(int64_t ns) {
    struct timespec t = { ns / 1000000000, ns % 1000000000 };
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/* Figures as they stood after a round, when their laws hold. Of two copies, `rounds` & 1 is the one to read. */
#define PUBLISHED(n) struct { _Alignas(64) _Atomic uint64_t rounds, copies[2 * (n)]; }

static inline void publish_all(_Atomic uint64_t *rounds, _Atomic uint64_t *copies, const uint64_t *counters, int n) {
    uint64_t now = atomic_load_explicit(rounds, memory_order_relaxed) + 1;
    atomic_thread_fence(memory_order_release); /* the last round's number is out before what it stood for is overwritten */
    for (int i = 0; i < n; i++) atomic_store_explicit(&copies[(now & 1) * n + i], counters[i], memory_order_relaxed);
    atomic_store_explicit(rounds, now, memory_order_release);
}

/* Python's. Read again if a round ended meanwhile: the next one writes where this reads. */
static inline void read_all(_Atomic uint64_t *rounds, _Atomic uint64_t *copies, uint64_t *out, int n) {
    uint64_t before;
    do {
        before = atomic_load_explicit(rounds, memory_order_acquire);
        for (int i = 0; i < n; i++) out[i] = atomic_load_explicit(&copies[(before & 1) * n + i], memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
    } while (atomic_load_explicit(rounds, memory_order_relaxed) != before);
}
#endif
