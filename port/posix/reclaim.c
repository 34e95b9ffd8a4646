/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reclaim.c - a thread for each node that frees frames when the library asks for it.
 *
 * Such a thread sleeps while its node is IDLE. port->wake_reclaim() makes it WOKEN; the thread makes it
 * IDLE again and then runs vm_reclaim_node(). So being told while that runs is not lost. Neither is
 * being told in a pause, since threads stay WOKEN in it.
 */
#include <objrmap/posix.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

enum { IDLE, WOKEN, ENDING };

struct node {
    pthread_t thread;
    struct posix_reclaim *all;
    unsigned number, cpu;
    int state; /* all->lock */
};

struct posix_reclaim {
    struct posix_port *posix;
    struct vm_machine *machine;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned nodes, started;
    unsigned pauses, running; /* lock; running: threads in the machine */
    struct node node[];
};

static void tell(struct vm_port *port, unsigned node) {
    struct posix_reclaim *all = ((struct posix_port *)port)->reclaim;

    pthread_mutex_lock(&all->lock);
    if (all->node[node].state == IDLE)
        all->node[node].state = WOKEN;
    pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->lock);
}

/* False: it is to end. */
static bool wait_to_be_woken(struct node *node) {
    struct posix_reclaim *all = node->all;

    pthread_mutex_lock(&all->lock);
    while (node->state == IDLE || (node->state == WOKEN && all->pauses))
        pthread_cond_wait(&all->changed, &all->lock);
    bool woken = node->state == WOKEN;
    if (woken) {
        node->state = IDLE;
        all->running++;
    }
    pthread_mutex_unlock(&all->lock);
    return woken;
}

static void have_run(struct posix_reclaim *all) {
    pthread_mutex_lock(&all->lock);
    all->running--;
    pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->lock);
}

static void *run(void *context) {
    struct node *node = context;

    posix_cpu_set(node->cpu);
    while (wait_to_be_woken(node)) {
        vm_reclaim_node(node->all->machine, node->number);
        have_run(node->all);
    }
    return NULL;
}

struct posix_reclaim *posix_reclaim_start(struct posix_port *posix, struct vm_machine *machine,
                                          unsigned nodes, unsigned first_cpu) {
    struct posix_reclaim *all = calloc(1, sizeof *all + nodes * sizeof all->node[0]);

    if (!all)
        return NULL;
    all->posix = posix;
    all->machine = machine;
    all->nodes = nodes;
    pthread_mutex_init(&all->lock, NULL);
    pthread_cond_init(&all->changed, NULL);
    for (unsigned n = 0; n < nodes; n++)
        all->node[n] = (struct node){ .all = all, .number = n, .cpu = first_cpu + n };
    for (; all->started < nodes; all->started++) {
        struct node *node = &all->node[all->started];
        if (pthread_create(&node->thread, NULL, run, node) != 0) {
            posix_reclaim_stop(all);
            return NULL;
        }
    }
    posix->reclaim = all;
    posix->port.wake_reclaim = tell;
    return all;
}

void posix_reclaim_pause(struct posix_reclaim *all) {
    pthread_mutex_lock(&all->lock);
    all->pauses++;
    while (all->running)
        pthread_cond_wait(&all->changed, &all->lock);
    pthread_mutex_unlock(&all->lock);
}

void posix_reclaim_resume(struct posix_reclaim *all) {
    pthread_mutex_lock(&all->lock);
    all->pauses--;
    pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->lock);
}

void posix_reclaim_stop(struct posix_reclaim *all) {
    all->posix->port.wake_reclaim = NULL;
    pthread_mutex_lock(&all->lock);
    for (unsigned n = 0; n < all->nodes; n++)
        all->node[n].state = ENDING;
    pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->lock);
    for (unsigned n = 0; n < all->started; n++)
        pthread_join(all->node[n].thread, NULL);
    all->posix->reclaim = NULL;
    pthread_cond_destroy(&all->changed);
    pthread_mutex_destroy(&all->lock);
    free(all);
}
