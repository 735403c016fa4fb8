/*
 * A peer made of libsrtp: protects and unprotects packets as it is told.
 *
 *   peer PROFILE OUTBOUND_KEY INBOUND_KEY
 *
 * PROFILE is the number in the registry of use_srtp, the keys are master key and salt in hexadecimal. Each line
 * of standard input is "protect rtp|rtcp PACKET" or "unprotect rtp|rtcp PACKET"; the answer is a line with the
 * resulting packet, or "error" and the number of libsrtp's status.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <srtp2/srtp.h>

enum { ROOM = 2048 };

static void check(srtp_err_status_t status, const char *what)
{
    if (status == srtp_err_status_ok)
        return;
    fprintf(stderr, "%s: status %d\n", what, status);
    exit(1);
}

static size_t from_hex(const char *text, uint8_t *bytes)
{
    size_t count = 0;
    unsigned byte;
    while (count < ROOM && sscanf(text + 2 * count, "%2x", &byte) == 1)
        bytes[count++] = (uint8_t)byte;
    return count;
}

static srtp_t session(int profile, const char *hex, srtp_ssrc_type_t direction)
{
    uint8_t key[ROOM];
    srtp_policy_t policy;
    srtp_t session;
    from_hex(hex, key);
    memset(&policy, 0, sizeof policy);
    policy.ssrc.type = direction;
    policy.key = key;
    policy.window_size = 1024;
    check(srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, profile), "the profile for RTP");
    check(srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, profile), "the profile for RTCP");
    check(srtp_create(&session, &policy), "srtp_create");
    return session;
}

int main(int count, char **arguments)
{
    static char line[2 * ROOM + 64], verb[16], kind[16], hex[2 * ROOM + 1];
    static uint8_t packet[2 * ROOM];
    if (count != 4)
        return 2;
    check(srtp_init(), "srtp_init");
    int profile = atoi(arguments[1]);
    srtp_t outbound = session(profile, arguments[2], ssrc_any_outbound);
    srtp_t inbound = session(profile, arguments[3], ssrc_any_inbound);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%15s %15s %4096s", verb, kind, hex) != 3)
            return 2;
        int length = (int)from_hex(hex, packet);
        int is_rtcp = strcmp(kind, "rtcp") == 0;
        srtp_err_status_t status;
        if (strcmp(verb, "protect") == 0)
            status = (is_rtcp ? srtp_protect_rtcp : srtp_protect)(outbound, packet, &length);
        else
            status = (is_rtcp ? srtp_unprotect_rtcp : srtp_unprotect)(inbound, packet, &length);
        if (status != srtp_err_status_ok) {
            printf("error %d\n", status);
        } else {
            for (int at = 0; at < length; at++)
                printf("%02x", packet[at]);
            printf("\n");
        }
        fflush(stdout);
    }
    return 0;
}
