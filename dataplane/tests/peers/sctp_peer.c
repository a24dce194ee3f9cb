/*
 * A client or a server of SCTP, for kernels that have none: usrsctp on a raw socket.
 *
 *   sctp_peer serve ADDR PORT NAME   answers each message with "NAME saw PEER: MESSAGE"
 *   sctp_peer ask FROM ADDR PORT     sends one message, prints the answer
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <usrsctp.h>

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static struct sockaddr_in address(const char *addr, const char *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    if (inet_pton(AF_INET, addr, &at.sin_addr) != 1)
        fail(addr);
    return at;
}

static struct socket *bound_to(struct sockaddr_in at)
{
    struct socket *sock = usrsctp_socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP, NULL, NULL, 0, NULL);
    if (!sock)
        fail("socket");
    if (usrsctp_bind(sock, (struct sockaddr *)&at, sizeof at))
        fail("bind");
    return sock;
}

/* One message, as a string; its length, 0 at the end of the association. */
static ssize_t receive(struct socket *sock, char *text, size_t size)
{
    struct sockaddr_in from;
    socklen_t from_len = sizeof from, info_len = 0;
    unsigned int info_type = 0;
    int flags = 0;
    ssize_t len = usrsctp_recvv(sock, text, size - 1, (struct sockaddr *)&from, &from_len, NULL,
                                &info_len, &info_type, &flags);
    text[len > 0 ? len : 0] = 0;
    return len;
}

static void send_text(struct socket *sock, const char *text)
{
    if (usrsctp_sendv(sock, text, strlen(text), NULL, 0, NULL, 0, SCTP_SENDV_NOINFO, 0) < 0)
        fail("send");
}

static void serve(const char *addr, const char *port, const char *name)
{
    struct socket *sock = bound_to(address(addr, port));
    if (usrsctp_listen(sock, 16))
        fail("listen");
    for (;;) {
        struct sockaddr_in peer;
        socklen_t len = sizeof peer;
        struct socket *conn = usrsctp_accept(sock, (struct sockaddr *)&peer, &len);
        if (!conn)
            fail("accept");
        char text[2048], seen[INET_ADDRSTRLEN], answer[4096];
        inet_ntop(AF_INET, &peer.sin_addr, seen, sizeof seen);
        while (receive(conn, text, sizeof text) > 0) {
            snprintf(answer, sizeof answer, "%s saw %s: %s", name, seen, text);
            send_text(conn, answer);
        }
        usrsctp_close(conn);
    }
}

static void ask(const char *from, const char *addr, const char *port)
{
    struct socket *sock = bound_to(address(from, "0"));
    struct sockaddr_in to = address(addr, port);
    if (usrsctp_connect(sock, (struct sockaddr *)&to, sizeof to))
        fail("connect");
    send_text(sock, "hello");
    char text[4096];
    if (receive(sock, text, sizeof text) <= 0)
        fail("receive");
    puts(text);
    usrsctp_close(sock);
    while (usrsctp_finish()) /* until the association is shut down */
        ;
}

int main(int argc, char **argv)
{
    usrsctp_init(0, NULL, NULL);
    usrsctp_sysctl_set_sctp_blackhole(2);
    if (argc == 5 && !strcmp(argv[1], "serve")) {
        serve(argv[2], argv[3], argv[4]);
    } else if (argc == 5 && !strcmp(argv[1], "ask")) {
        ask(argv[2], argv[3], argv[4]);
    } else {
        fprintf(stderr, "usage: sctp_peer serve ADDR PORT NAME | ask FROM ADDR PORT\n");
        return 2;
    }
    return 0;
}
