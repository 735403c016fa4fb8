/*
 * A peer made of usrsctp: one association over UDP, an SCTP packet in each datagram.
 *
 *   peer listen|connect LOCAL_PORT REMOTE_PORT sink|source MESSAGES SIZE stay|close
 *
 * As a sink it takes MESSAGES messages of SIZE bytes, as a source it sends them; message I consists of I as
 * four bytes, most significant first, and then bytes that count up from I. It then prints "done" and answers
 * each reset of an incoming stream with one of its own, until the association is shut down; with "close" it
 * begins the shutdown itself. Any surprise ends it with status 1.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <usrsctp.h>

static int udp;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int send_packet(void *address, void *buffer, size_t length, uint8_t tos, uint8_t set_df)
{
    (void)address, (void)tos, (void)set_df;
    send(udp, buffer, length, 0); /* What is not sent is lost, as on any network. */
    return 0;
}

static void *receive_packets(void *unused)
{
    static char buffer[65536];
    for (;;) {
        ssize_t length = recv(udp, buffer, sizeof buffer, 0);
        if (length > 0)
            usrsctp_conninput(&udp, buffer, (size_t)length, 0);
    }
    return unused;
}

static struct sockaddr_conn endpoint(void)
{
    struct sockaddr_conn address = {0};
    address.sconn_family = AF_CONN;
    address.sconn_port = htons(5000);
    address.sconn_addr = &udp;
    return address;
}

static void prepare(struct socket *sock)
{
    const uint32_t enable = SCTP_ENABLE_RESET_STREAM_REQ;
    struct sctp_assoc_value reset = {SCTP_FUTURE_ASSOC, enable};
    if (usrsctp_setsockopt(sock, IPPROTO_SCTP, SCTP_ENABLE_STREAM_RESET, &reset, sizeof reset) < 0)
        fail("SCTP_ENABLE_STREAM_RESET");
    struct sctp_event event = {0};
    event.se_assoc_id = SCTP_FUTURE_ASSOC;
    event.se_type = SCTP_STREAM_RESET_EVENT;
    event.se_on = 1;
    if (usrsctp_setsockopt(sock, IPPROTO_SCTP, SCTP_EVENT, &event, sizeof event) < 0)
        fail("SCTP_EVENT");
    struct sctp_initmsg init = {0};
    init.sinit_num_ostreams = 1024;
    init.sinit_max_instreams = 1024;
    if (usrsctp_setsockopt(sock, IPPROTO_SCTP, SCTP_INITMSG, &init, sizeof init) < 0)
        fail("SCTP_INITMSG");
    struct sctp_paddrparams path = {0};
    struct sockaddr_conn address = endpoint();
    memcpy(&path.spp_address, &address, sizeof address);
    path.spp_flags = SPP_PMTUD_DISABLE;
    path.spp_pathmtu = 1188;
    usrsctp_setsockopt(sock, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, &path, sizeof path);
}

static void fill(uint8_t *message, size_t size, uint32_t index)
{
    for (size_t at = 0; at < size; at++)
        message[at] = at < 4 ? (uint8_t)(index >> (24 - 8 * at)) : (uint8_t)(index + at);
}

static void send_messages(struct socket *sock, uint32_t count, size_t size)
{
    uint8_t *message = malloc(size);
    struct sctp_sndinfo info = {0};
    info.snd_sid = 1;
    info.snd_ppid = htonl(53);
    for (uint32_t index = 0; index < count; index++) {
        fill(message, size, index);
        if (usrsctp_sendv(sock, message, size, NULL, 0, &info, sizeof info, SCTP_SENDV_SNDINFO, 0) != (ssize_t)size)
            fail("usrsctp_sendv");
    }
    free(message);
}

static void handle_notification(struct socket *sock, const union sctp_notification *note)
{
    if (note->sn_header.sn_type != SCTP_STREAM_RESET_EVENT)
        return;
    const struct sctp_stream_reset_event *event = &note->sn_strreset_event;
    if (!(event->strreset_flags & SCTP_STREAM_RESET_INCOMING_SSN))
        return;
    size_t count = (event->strreset_length - sizeof *event) / sizeof(uint16_t);
    size_t length = sizeof(struct sctp_reset_streams) + count * sizeof(uint16_t);
    struct sctp_reset_streams *reset = calloc(1, length);
    reset->srs_flags = SCTP_STREAM_RESET_OUTGOING;
    reset->srs_number_streams = (uint16_t)count;
    memcpy(reset->srs_stream_list, event->strreset_stream_list, count * sizeof(uint16_t));
    if (usrsctp_setsockopt(sock, IPPROTO_SCTP, SCTP_RESET_STREAMS, reset, (socklen_t)length) < 0)
        fail("SCTP_RESET_STREAMS");
    free(reset);
    printf("reset\n");
    fflush(stdout);
}

/* Takes `expected` messages of `size` bytes, then whatever comes until the association ends. */
static void receive_messages(struct socket *sock, uint32_t expected, size_t size, int close_when_done)
{
    size_t room = size + 65536, have = 0;
    uint8_t *buffer = malloc(room), *wanted = malloc(size);
    uint32_t index = 0;
    for (;;) {
        struct sctp_rcvinfo info;
        socklen_t info_length = sizeof info, from_length = sizeof(struct sockaddr_conn);
        struct sockaddr_conn from;
        unsigned int type = 0;
        int flags = 0;
        ssize_t length = usrsctp_recvv(sock, buffer + have, room - have, (struct sockaddr *)&from, &from_length,
                                       &info, &info_length, &type, &flags);
        if (length < 0)
            fail("usrsctp_recvv");
        if (length == 0)
            break;
        if (flags & MSG_NOTIFICATION) {
            handle_notification(sock, (union sctp_notification *)(buffer + have));
            continue;
        }
        have += (size_t)length;
        if (!(flags & MSG_EOR))
            continue;
        fill(wanted, size, index);
        if (index < expected && (have != size || memcmp(buffer, wanted, size) != 0)) {
            fprintf(stderr, "message %u of %zu bytes is not what was sent\n", index, have);
            exit(1);
        }
        have = 0;
        if (++index == expected) {
            printf("done\n");
            fflush(stdout);
            if (close_when_done && usrsctp_shutdown(sock, SHUT_WR) < 0)
                fail("usrsctp_shutdown");
        }
    }
    if (index < expected) {
        fprintf(stderr, "the association ended after %u of %u messages\n", index, expected);
        exit(1);
    }
}

int main(int count, char **arguments)
{
    if (count != 8)
        return 2;
    int listens = strcmp(arguments[1], "listen") == 0;
    int is_sink = strcmp(arguments[4], "sink") == 0;
    uint32_t messages = (uint32_t)atoi(arguments[5]);
    size_t size = (size_t)atoi(arguments[6]);
    int closes = strcmp(arguments[7], "close") == 0;

    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[2]))};
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct sockaddr_in remote = local;
    remote.sin_port = htons((uint16_t)atoi(arguments[3]));
    udp = socket(AF_INET, SOCK_DGRAM, 0);
    int buffer = 4 << 20;
    setsockopt(udp, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    if (bind(udp, (struct sockaddr *)&local, sizeof local) < 0)
        fail("bind");
    if (connect(udp, (struct sockaddr *)&remote, sizeof remote) < 0)
        fail("connect");

    usrsctp_init(0, send_packet, NULL);
    usrsctp_sysctl_set_sctp_ecn_enable(0);
    usrsctp_sysctl_set_sctp_rto_min_default(250);
    usrsctp_sysctl_set_sctp_rto_initial_default(500);
    usrsctp_sysctl_set_sctp_recvspace(1 << 20);
    usrsctp_sysctl_set_sctp_sendspace(1 << 20);
    usrsctp_register_address(&udp);
    pthread_t thread;
    pthread_create(&thread, NULL, receive_packets, NULL);

    struct socket *sock = usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, NULL, NULL, 0, NULL);
    if (!sock)
        fail("usrsctp_socket");
    prepare(sock);
    struct sockaddr_conn address = endpoint();
    if (usrsctp_bind(sock, (struct sockaddr *)&address, sizeof address) < 0)
        fail("usrsctp_bind");
    if (listens && usrsctp_listen(sock, 1) < 0)
        fail("usrsctp_listen");
    printf("ready\n");
    fflush(stdout);
    if (listens) {
        struct socket *accepted = usrsctp_accept(sock, NULL, NULL);
        if (!accepted)
            fail("usrsctp_accept");
        sock = accepted;
    } else if (usrsctp_connect(sock, (struct sockaddr *)&address, sizeof address) < 0) {
        fail("usrsctp_connect");
    }

    if (is_sink) {
        receive_messages(sock, messages, size, closes);
    } else {
        send_messages(sock, messages, size);
        printf("done\n");
        fflush(stdout);
        if (closes && usrsctp_shutdown(sock, SHUT_WR) < 0)
            fail("usrsctp_shutdown");
        receive_messages(sock, 0, size, 0);
    }
    printf("closed\n");
    fflush(stdout);
    usrsctp_close(sock);
    usleep(300000); /* Lets a SHUTDOWN COMPLETE that was lost be sent again. */
    return 0;
}
