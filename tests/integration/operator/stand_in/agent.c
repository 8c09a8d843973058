/* Stands where an agent's container stands, and behaves as its environment tells it, so that each state of a pod can be
 * had for real without the runtime:
 *   STARTUP, LIVENESS, READINESS=status   what a probe is answered with (200 without it); 0: nothing, it waits
 *   OTHERWISE=status                      the same for every other request; without it /state is answered as by a runtime
 *                                         that is well, for the agent of the mounted configuration
 *   STATE=path                            a file with what /state says beside that: members of a JSON object
 *   PORT=number                           where it listens (8081 without it); 0: nowhere
 *   AFTER=seconds                         how long all goes well before what follows happens (0 without it)
 *   EXIT=code                             ends with that code
 *   TAKE=MiB                              takes that much memory
 *   SHOUT=MiB                             writes that much to its standard output
 *   LAST_WORDS=text                       what it writes into the termination log before it ends
 * It ends with 0 on SIGTERM, as the runtime does; with STUBBORN it does not. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MIB (1024 * 1024)
#define CONFIGURATION "/etc/mizzen/agent/agent.json"

static int number(const char *name, int otherwise) {
    const char *value = getenv(name);
    return value ? atoi(value) : otherwise;
}

static void leave(int signal) {
    (void)signal;
    _exit(0);
}

static void say_last_words(void) {
    const char *words = getenv("LAST_WORDS");
    int log = words ? open("/dev/termination-log", O_WRONLY) : -1;
    if (log >= 0 && write(log, words, strlen(words)) < 0) {
        perror("termination log");
    }
}

static void take(int megabytes) {
    for (int count = 0; count < megabytes; count++) {
        memset(malloc(MIB), 1, MIB);
    }
}

static void shout(int megabytes) {
    static char line[1024];
    memset(line, 'x', sizeof line - 2);
    line[sizeof line - 2] = '\n';
    for (int count = 0; count < megabytes * 1024; count++) {
        fputs(line, stdout);
    }
    fflush(stdout);
}

static void misbehave(void) {
    take(number("TAKE", 0));
    shout(number("SHOUT", 0));
    if (getenv("EXIT")) {
        say_last_words();
        exit(number("EXIT", 0));
    }
}

static int listen_on(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 64) < 0) {
        perror("listen");
        exit(1);
    }
    return listener;
}

static int status_for(const char *request, int misbehaves) {
    if (strstr(request, "GET /startupz ")) {
        return number("STARTUP", 200);
    }
    if (strstr(request, "GET /livez ")) {
        return misbehaves ? number("LIVENESS", 200) : 200;
    }
    if (strstr(request, "GET /readyz ")) {
        return misbehaves ? number("READINESS", 200) : 200;
    }
    return number("OTHERWISE", 200);
}

static void read_file(const char *path, char *content, size_t size) {
    int file = path ? open(path, O_RDONLY) : -1;
    ssize_t length = file >= 0 ? read(file, content, size - 1) : 0;
    content[length > 0 ? length : 0] = 0;
    if (file >= 0) {
        close(file);
    }
}

/* Copies a member of a JSON object, with its name and without what follows it. */
static void copy_member(const char *object, const char *member, char *copy, size_t size) {
    const char *start = strstr(object, member), *value = start ? start + strlen(member) : NULL;
    const char *end = value ? strchr(value, '"') : NULL;
    snprintf(copy, size, "%.*s", end ? (int)(end + 1 - start) : 0, start ? start : "");
}

static void tell_state(int connection) {
    static char configuration[MIB], more[8192], body[16384], head[128];
    char namespace[128], name[128], revision[128];
    read_file(CONFIGURATION, configuration, sizeof configuration);
    read_file(getenv("STATE"), more, sizeof more);
    copy_member(configuration, "\"namespace\":\"", namespace, sizeof namespace);
    copy_member(configuration, "\"name\":\"", name, sizeof name);
    copy_member(configuration, "\"revision\":\"", revision, sizeof revision);
    const char *profile = getenv("MIZZEN_PROFILE");
    int length = snprintf(body, sizeof body,
                          "{\"contractVersion\":1,\"runtimeVersion\":\"stand-in\",%s,%s,%s,\"phase\":\"Serving\","
                          "\"inFlight\":0,\"models\":[],\"testServices\":%s%s%s}",
                          namespace, name, revision, profile && !strcmp(profile, "test") ? "true" : "false",
                          *more ? "," : "", more);
    int head_length = snprintf(head, sizeof head,
                               "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", length);
    if (write(connection, head, head_length) < 0 || write(connection, body, length) < 0) {
        perror("state");
    }
    close(connection);
}

static void answer(int connection, int misbehaves) {
    char request[4096] = "", response[128];
    int status = read(connection, request, sizeof request - 1) > 0 ? status_for(request, misbehaves) : 0;
    if (strstr(request, "GET /state ") && !getenv("OTHERWISE")) {
        tell_state(connection);
    } else if (status) {
        int length = snprintf(response, sizeof response,
                              "HTTP/1.1 %d Whatever\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", status);
        if (write(connection, response, length) < 0) {
            perror("answer");
        }
        close(connection);
    } /* else the connection stays open, and the other side waits */
}

int main(void) {
    int after = number("AFTER", 0), misbehaves = 0, port = number("PORT", 8081);
    time_t start = time(NULL);
    signal(SIGTERM, getenv("STUBBORN") ? SIG_IGN : leave);
    signal(SIGPIPE, SIG_IGN);
    struct pollfd listener = {.fd = port ? listen_on(port) : -1, .events = POLLIN};
    for (;;) {
        if (!misbehaves && time(NULL) - start >= after) {
            misbehaves = 1;
            misbehave();
        }
        if (poll(&listener, 1, 100) > 0) {
            answer(accept(listener.fd, NULL, NULL), misbehaves);
        }
    }
}
