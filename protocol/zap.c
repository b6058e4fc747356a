/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/zap.h"

#include <errno.h>
#include <zmq.h>

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"

enum { ZAP_FRAMES = 7 /* version, request, domain, address, routing id, mechanism, key */ };

void *zap_open(void *zmq_context)
{
	const int no_linger = 0;
	void *socket = zmq_socket(zmq_context, ZMQ_REP);

	if (socket == NULL)
		return NULL;
	if (zmq_setsockopt(socket, ZMQ_LINGER, &no_linger, sizeof no_linger) != 0 ||
	    zmq_bind(socket, ZAP_ENDPOINT) != 0) {
		int saved = errno;

		(void)zmq_close(socket);
		errno = saved;
		return NULL;
	}
	return socket;
}

struct zap_request {
	uint8_t id[256];
	size_t id_len;
	uint8_t key[CURVE_KEY_BYTES];
	bool well_formed; /* ZAP 1.0 about a CURVE key of our domain */
};

static bool frame_is(const zmq_msg_t *frame, const char *text)
{
	size_t len = strlen(text);

	return zmq_msg_size(frame) == len &&
	       memcmp(zmq_msg_data((zmq_msg_t *)(uintptr_t)frame), text, len) == 0;
}

static void zap_take_frame(struct zap_request *r, int at, zmq_msg_t *frame)
{
	size_t len = zmq_msg_size(frame);

	switch (at) {
	case 0:
		r->well_formed = frame_is(frame, "1.0");
		break;
	case 1:
		r->id_len = len <= sizeof r->id ? len : 0;
		memcpy(r->id, zmq_msg_data(frame), r->id_len);
		break;
	case 2:
		r->well_formed = r->well_formed && frame_is(frame, ZAP_DOMAIN);
		break;
	case 5:
		r->well_formed = r->well_formed && frame_is(frame, "CURVE");
		break;
	case 6:
		r->well_formed = r->well_formed && len == sizeof r->key;
		if (r->well_formed)
			memcpy(r->key, zmq_msg_data(frame), len);
		break;
	default:
		break; /* address and routing id decide nothing */
	}
}

/* One question, whole; false if there is none. */
static bool zap_receive(void *zap, struct zap_request *r)
{
	zmq_msg_t frame;
	int at = 0, more = 1;

	memset(r, 0, sizeof *r);
	while (more) {
		(void)zmq_msg_init(&frame);
		if (zmq_msg_recv(&frame, zap, ZMQ_DONTWAIT) < 0) {
			(void)zmq_msg_close(&frame);
			return false;
		}
		zap_take_frame(r, at++, &frame);
		more = zmq_msg_more(&frame);
		(void)zmq_msg_close(&frame);
	}
	r->well_formed = r->well_formed && at == ZAP_FRAMES;
	return true;
}

static void zap_answer(void *zap, const struct zap_request *r, bool admitted)
{
	const char *status = admitted ? "200" : "400";
	const char *text = admitted ? "OK" : "refused";
	char user[HEX32_CHARS] = "";

	if (admitted)
		hex32(r->key, user); /* comes back with each message as its User-Id */
	(void)zmq_send(zap, "1.0", 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
	(void)zmq_send(zap, r->id, r->id_len, ZMQ_SNDMORE | ZMQ_DONTWAIT);
	(void)zmq_send(zap, status, 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
	(void)zmq_send(zap, text, strlen(text), ZMQ_SNDMORE | ZMQ_DONTWAIT);
	(void)zmq_send(zap, user, strlen(user), ZMQ_SNDMORE | ZMQ_DONTWAIT);
	(void)zmq_send(zap, "", 0, ZMQ_DONTWAIT);
}

void zap_serve(void *socket, transport_admit_fn *admit, void *context)
{
	struct zap_request r;

	while (zap_receive(socket, &r))
		zap_answer(socket, &r, r.well_formed && (admit == NULL || admit(context, r.key)));
}
