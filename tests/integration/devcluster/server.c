/* The only program of the test image: serves HTTP on port 8080, or, with a name as its argument, looks that up. */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef ANSWER
#define ANSWER "hello"
#endif

static int look_up(const char *name) {
    unsigned char packet[1024];
    int length = res_search(name, ns_c_in, ns_t_a, packet, sizeof packet); /* with /etc/resolv.conf's domains */
    ns_msg message;
    ns_rr record;
    if (length < 0 || ns_initparse(packet, length, &message) < 0 || ns_parserr(&message, ns_s_an, 0, &record) < 0) {
        fprintf(stderr, "no address for %s\n", name);
        return 1;
    }
    puts(inet_ntoa(*(const struct in_addr *)ns_rr_rdata(record)));
    return 0;
}

static int serve(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8080)};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 64) < 0) {
        return 1;
    }
    puts("listening on 8080");
    fflush(stdout);
    for (;;) {
        char request[4096], answer[256];
        int connection = accept(listener, NULL, NULL);
        if (read(connection, request, sizeof request) > 0) {
            int length = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
                                  strlen(ANSWER), ANSWER);
            if (write(connection, answer, length) < 0) {
                perror("write");
            }
        }
        close(connection);
    }
}

int main(int count, char **arguments) {
    return count > 1 ? look_up(arguments[1]) : serve();
}
