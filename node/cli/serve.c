/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni serve`: a pool's models by HTTP, for any client. */
#include <argp.h>

#include "node/cli/cli.h"
#include "node/cli/sampling.h"
#include "node/config.h"
#include "node/gateway/gateway.h"
#include "node/report.h"

struct options {
	struct gateway_options gateway;
	bool verbose;
};

enum {
	KEY_KEY = 0x400,
	KEY_ADDRESS_FILE,
	KEY_LOG_FOLDER,
	KEY_CONNECTIONS,
	KEY_REQUESTS,
	KEY_IDLE,
	KEY_BODY,
	KEY_BUFFER
};

static const struct argp_option options[] = {
    {"pool", 'p', "INVITE", 0, "the pool to use: ayni://host:port?key=...", 1},
    {"listen", 'l', "HOST:PORT", 0, "where clients connect (default 127.0.0.1:11500)", 1},
    {"verbose", 'v', NULL, 0, "log everything", 1},
    {NULL, 0, NULL, 0, "Limits:", 2},
    {"connections", KEY_CONNECTIONS, "N", 0, "at once (default 2048)", 2},
    {"requests", KEY_REQUESTS, "N", 0, "at the pool at once (default 512)", 2},
    {"idle-s", KEY_IDLE, "S", 0,
        "seconds after which a connection that moves nothing is closed (default 120)", 2},
    {"body-kib", KEY_BODY, "N", 0, "KiB of a request's body (default 4096)", 2},
    {"buffer-kib", KEY_BUFFER, "N", 0,
        "KiB that may wait for a slow reader before its request ends (default 256)", 2},
    {NULL, 0, NULL, 0, "For programs:", 3},
    {"key", KEY_KEY, "FILE", 0, "the key to join with (default: the member's)", 3},
    {"address-file", KEY_ADDRESS_FILE, "FILE", 0, "write the address there once it is bound", 3},
    {"log-folder", KEY_LOG_FOLDER, "DIR", 0, "serve the files of this folder at /log/", 3},
    {0},
};

static error_t parse_limit(int key, const char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	struct http_limits *limits = &o->gateway.http.limits;

	switch (key) {
	case KEY_CONNECTIONS:
		limits->connections = (uint32_t)option_u64(state, "--connections", arg, 1, 1 << 20);
		break;
	case KEY_REQUESTS:
		o->gateway.max_requests =
		    (uint32_t)option_u64(state, "--requests", arg, 1, 1 << 20);
		break;
	case KEY_IDLE:
		limits->idle_s = (uint32_t)option_u64(state, "--idle-s", arg, 1, 86400);
		break;
	case KEY_BODY:
		limits->body_bytes = option_u64(state, "--body-kib", arg, 1, 1 << 16) << 10;
		break;
	case KEY_BUFFER:
		limits->stream_bytes = option_u64(state, "--buffer-kib", arg, 1, 1 << 20) << 10;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'p':
		o->gateway.pool = arg;
		break;
	case 'l':
		o->gateway.http.listen = arg;
		break;
	case 'v':
		o->verbose = true;
		break;
	case KEY_KEY:
		o->gateway.key_path = arg;
		break;
	case KEY_ADDRESS_FILE:
		o->gateway.address_file = arg;
		break;
	case KEY_LOG_FOLDER:
		o->gateway.http.log_folder = arg;
		break;
	case ARGP_KEY_END:
		if (o->gateway.pool == NULL)
			argp_error(
			    state, "--pool INVITE is needed (whoever runs the pool gives one out)");
		break;
	default:
		return parse_limit(key, arg, state);
	}
	return 0;
}

int cli_serve(int argc, char **argv)
{
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .doc =
	        "Serve a pool's models by HTTP, as OpenAI's and Ollama's APIs do, to any client: "
	        "its base URL is http://HOST:PORT/v1, its key whatever it likes."};
	char key_path[CONFIG_PATH_BYTES + 8];
	struct options o = {0};
	struct error err = {0};
	int rc = AYNI_OK;

	gateway_defaults(&o.gateway);
	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	if (o.gateway.key_path == NULL) {
		rc = config_key_path("member", key_path, sizeof key_path, &err);
		o.gateway.key_path = key_path;
	}
	if (rc == AYNI_OK) {
		report_setup("serve", o.verbose ? REPORT_DEBUG : REPORT_INFO);
		rc = gateway_run(&o.gateway, &err);
	}
	return rc == AYNI_OK ? CLI_OK : cli_fail("serve", &err);
}
