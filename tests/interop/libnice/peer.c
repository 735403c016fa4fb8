/* An ICE agent of libnice, driven by lines.
 *
 * usage: peer controlling|controlled aggressive|regular full|trickle [ADDRESS PORT USER PASSWORD]
 *
 * With a TURN server it has relayed candidates alone.
 *
 * It writes:  credentials UFRAG PASSWORD, candidate LINE, gathered, state NUMBER, selected
 * It reads:   credentials UFRAG PASSWORD, candidate LINE, end, restart
 * What arrives over the selected pair is also sent back. The end of its input ends it. */

#include <nice/agent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static NiceAgent *agent;
static guint stream;
static GMainLoop *loop;
static gboolean trickle;
static GSList *candidates;

static void tell_credentials(void) {
    gchar *ufrag, *password;
    nice_agent_get_local_credentials(agent, stream, &ufrag, &password);
    printf("credentials %s %s\n", ufrag, password);
    g_free(ufrag);
    g_free(password);
}

static void tell_candidate(NiceCandidate *candidate) {
    gchar *line = nice_agent_generate_local_candidate_sdp(agent, candidate);
    printf("candidate %s\n", line);
    g_free(line);
}

static void on_candidate(NiceAgent *a, NiceCandidate *candidate, gpointer data) {
    tell_candidate(candidate);
}

static void on_gathered(NiceAgent *a, guint s, gpointer data) {
    printf("gathered\n");
}

static void on_state(NiceAgent *a, guint s, guint component, guint state, gpointer data) {
    printf("state %s\n", nice_component_state_to_string(state));
}

static void on_selected(NiceAgent *a, guint s, guint c, NiceCandidate *l, NiceCandidate *r, gpointer data) {
    printf("selected\n");
}

static void on_data(NiceAgent *a, guint s, guint component, guint length, gchar *bytes, gpointer data) {
    nice_agent_send(agent, stream, 1, length, bytes);
}

static void give_candidates(void) {
    nice_agent_set_remote_candidates(agent, stream, 1, candidates);
    g_slist_free_full(candidates, (GDestroyNotify)nice_candidate_free);
    candidates = NULL;
}

static gboolean on_line(GIOChannel *channel, GIOCondition condition, gpointer data) {
    gchar *line = NULL;
    if (g_io_channel_read_line(channel, &line, NULL, NULL, NULL) != G_IO_STATUS_NORMAL) {
        g_main_loop_quit(loop);
        return FALSE;
    }
    g_strchomp(line);
    gchar **words = g_strsplit(line, " ", 3);
    if (strcmp(words[0], "credentials") == 0) {
        nice_agent_set_remote_credentials(agent, stream, words[1], words[2]);
    } else if (strcmp(words[0], "candidate") == 0) {
        NiceCandidate *candidate = nice_agent_parse_remote_candidate_sdp(agent, stream, line + strlen("candidate "));
        if (candidate == NULL) {
            printf("refused %s\n", line);
        } else {
            candidates = g_slist_append(candidates, candidate);
            if (trickle) give_candidates();
        }
    } else if (strcmp(words[0], "end") == 0) {
        if (trickle) nice_agent_peer_candidate_gathering_done(agent, stream);
        else give_candidates();
    } else if (strcmp(words[0], "restart") == 0) {
        nice_agent_restart(agent);
        tell_credentials();
        GSList *local = nice_agent_get_local_candidates(agent, stream, 1);
        for (GSList *item = local; item != NULL; item = item->next) tell_candidate(item->data);
        g_slist_free_full(local, (GDestroyNotify)nice_candidate_free);
        printf("gathered\n");
    }
    g_strfreev(words);
    g_free(line);
    return TRUE;
}

int main(int argc, char **argv) {
    if (argc != 4 && argc != 8) return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    trickle = strcmp(argv[3], "trickle") == 0;
    NiceAgentOption options = NICE_AGENT_OPTION_CONSENT_FRESHNESS;
    if (strcmp(argv[2], "regular") == 0) options |= NICE_AGENT_OPTION_REGULAR_NOMINATION;
    if (trickle) options |= NICE_AGENT_OPTION_ICE_TRICKLE;

    loop = g_main_loop_new(NULL, FALSE);
    agent = nice_agent_new_full(NULL, NICE_COMPATIBILITY_RFC5245, options);
    g_object_set(agent, "upnp", FALSE, "ice-tcp", FALSE, "controlling-mode", strcmp(argv[1], "controlling") == 0, NULL);
    /* The patience of RFC 8863: with losses a nomination may take longer than the default of 5 s. */
    g_object_set(agent, "idle-timeout", 39500, NULL);
    NiceAddress address;
    nice_address_init(&address);
    nice_address_set_from_string(&address, "127.0.0.1");
    nice_agent_add_local_address(agent, &address);
    g_signal_connect(agent, "new-candidate-full", G_CALLBACK(on_candidate), NULL);
    g_signal_connect(agent, "candidate-gathering-done", G_CALLBACK(on_gathered), NULL);
    g_signal_connect(agent, "component-state-changed", G_CALLBACK(on_state), NULL);
    g_signal_connect(agent, "new-selected-pair-full", G_CALLBACK(on_selected), NULL);
    stream = nice_agent_add_stream(agent, 1);
    nice_agent_set_stream_name(agent, stream, "application");
    if (argc == 8) {
        g_object_set(agent, "force-relay", TRUE, NULL);
        if (!nice_agent_set_relay_info(agent, stream, 1, argv[4], atoi(argv[5]), argv[6], argv[7], NICE_RELAY_TYPE_TURN_UDP))
            return 1;
    }
    nice_agent_attach_recv(agent, stream, 1, g_main_loop_get_context(loop), on_data, NULL);
    tell_credentials();
    if (!nice_agent_gather_candidates(agent, stream)) return 1;

    GIOChannel *input = g_io_channel_unix_new(0);
    g_io_add_watch(input, G_IO_IN | G_IO_HUP, on_line, NULL);
    g_main_loop_run(loop);
    return 0;
}
