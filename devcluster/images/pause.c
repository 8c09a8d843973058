/* The first process of every pod: holds the pod's namespaces, reaps orphans, ends when told to. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int signal_number) {
    (void)signal_number;
    _exit(0);
}

static void reap(int signal_number) {
    (void)signal_number;
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
}

static int handle(int signal_number, void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    return sigaction(signal_number, &action, NULL);
}

int main(void) {
    if (handle(SIGINT, end, 0) < 0 || handle(SIGTERM, end, 0) < 0 || handle(SIGCHLD, reap, SA_NOCLDSTOP) < 0) {
        return EXIT_FAILURE;
    }
    for (;;) {
        pause();
    }
}
